"""An event collector with HTTP Basic.

routes   what it takes and tells
detail   what is wrong with a request, as FastAPI says it
"""
