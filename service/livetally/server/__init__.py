"""`livetally serve`: all wiring, and the life of a process.

app       the application, put together of these:
services  its parts, and what each is given
routes    every route and its handler
loops     what runs while it lives
drain     how it ends
protocol  what the HTTP layer rejects by itself
masking   ... and what comes in frames without a mask
process   listen, serve, stop in order; and several that share a port
ecs       hears early that a task is to stop
"""
