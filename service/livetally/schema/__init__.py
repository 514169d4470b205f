"""What is sent and received, as types.

http     over HTTP
live     by the live protocol
items    an item
compat   by clients of the compatibility APIs
keys     roles of keys, and origins
changes  what processes tell each other after a commit
"""
