"""The pages.

pages           the built front end
shipped         where that and the documents are, in a checkout and in a wheel
docs/           /docs, of these two:
reference/      every route and message: /openapi.json, /asyncapi.json
examples/       /examples, for clients of the compatibility APIs
page_header/    the top and the colors of /docs and /examples
"""
