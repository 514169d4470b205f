"""`livetally serve`: all wiring, and the life of a process.

app      what each part is given, what starts first and stops last
process  listen, serve, stop in order; and several that share a port
ecs      hears early that a task is to stop
"""
