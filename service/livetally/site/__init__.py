"""The pages.

pages           the built front end
docs/           /docs, of these two:
reference/      every route and message: /openapi.json, /asyncapi.json
examples/       /examples, for clients of the compatibility APIs
page_header/    the top and the colors of /docs and /examples
"""
