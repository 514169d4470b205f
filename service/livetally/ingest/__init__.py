"""POST /v1/events: from bytes to disk.

http     the request and its answer
packing  a body as it was before it was packed
events   bytes to checked events, each rejection with its reason
batcher  requests that arrive together share one transaction
store    that transaction, and this process's counter slot
"""
