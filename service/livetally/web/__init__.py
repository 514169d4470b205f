"""Around each request.

middleware      id, CORS, errors as JSON
params          its query and body, checked
auth            keys: which project, which role, from which origin
keys            making, listing, revoking them
read_budgets    what clients read: so much at once, and a second
rate_limits     token buckets of keys and addresses, shared by all processes
address_limits  ... of addresses, in this process: handshakes, wrong keys
operation_docs  what a route says of itself
"""
