"""The pages.

pages           the built front end
docs/           /docs, of these two:
openapi         every route, /openapi.json
route_examples  its examples: the data in each package's examples/
asyncapi        the live protocol
examples/       /examples, for clients of the compatibility APIs
page_header/    the top and the colors of /docs and /examples
"""
