"""The compatibility APIs: other systems' wire formats, each a thin translation onto the core.

routes      all of them, and what they put in front of the native routes
claims      where one path means two things: whose request it is
rejections  what is wrong, in the shape that each one's clients look for
actions     an action on a color, as a native event
websocket   what their websockets have in common
dispatch    /ws: whose client is it, by a name or the first message?
items       real-time items, as DynamoDB writes them
colors/     color tracking: stats, whole lists pushed
rails/      color tracking with Rails and ActionCable
page_views/  page views for a blog
collector/  clicks and page views with HTTP Basic
"""
