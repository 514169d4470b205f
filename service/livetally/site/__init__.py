"""The pages.

pages       the built front end
shipped     where that and the documents are, in a checkout and in a wheel
html        the pages that the service writes, of templates/ and shared/: styles, header, icon
docs/       /docs: every README, searchable, and the API's reference
examples/   /examples, for clients of the compatibility APIs
reference/  every route and message as data: /openapi.json, /asyncapi.json
"""
