"""The reference, as data, from the code's own types.

routes    every route, with what is said of it
examples  its examples: the data in each package's examples/
openapi   /openapi.json
asyncapi  /asyncapi.json, the live protocol
"""
