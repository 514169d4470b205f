"""The docs: every layer's README, and the API's reference, at /docs.

http       the routes
documents  which there are (documents.json), and where their links lead
markdown   from Markdown to HTML and sections
reference  the API's page, of /openapi.json
search     what the search box looks through
"""
