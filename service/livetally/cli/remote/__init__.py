"""Commands that talk to a running Livetally; they need no more than the SDK does.

server    where it is, and who asks
send      send
tail      tail
put       put
stats     stats
simulate  simulate
"""
