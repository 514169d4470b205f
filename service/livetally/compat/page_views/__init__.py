"""Page views for a blog, over a websocket.

views   messages, and the counts that come back
hosts   the parts of a page's address
"""
