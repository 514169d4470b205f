"""The pages.

pages         the built front end
docs/         /docs, of these two:
openapi       every route, /openapi.json
asyncapi      the live protocol
examples/     /examples, for clients of the compatibility APIs
page_header/  the top and the colors of /docs and /examples
"""
