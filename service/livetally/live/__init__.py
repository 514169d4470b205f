"""What is watched, pushed as it changes.

announcer      after a commit: it is shown here, and told to the others
publisher      what changed, one Redis message a project
listener       the other end: what other processes committed
hub            keeps what is watched here equal to Postgres
topics/        what can be watched
subscriptions  from a topic in JSON to the hub's id of it
websocket      /v1/live: subscribe, snapshot, updates, track
sse            /v1/live/sse: the same to look at only
upgrade        how a websocket is opened
connections    all of them: pings, silence, keys, the end
viewer         writes to one connection
frames         messages as bytes
"""
