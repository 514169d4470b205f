"""How it is run and watched.

health   is it well? heartbeats
tasks    background loops
logs     JSON lines
metrics  what is counted
emf      metrics for CloudWatch, logged
tracing  traces for OpenTelemetry, where they are asked for
probe    `livetally health`, for containers
"""
