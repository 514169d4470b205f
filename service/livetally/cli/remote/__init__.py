"""Commands that talk to a running Livetally; they need no more than the SDK does.

server    where it is, and who asks
values    JSON objects from a file or a pipe
send      send
tail      tail
put       put
stats     stats
simulate  simulate
"""
