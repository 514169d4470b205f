"""Color tracking with Rails: HTTP, and ActionCable.

events    an action on a color, one a request
results   every color of an action with its amount
cable     the websocket
channels  what was subscribed on it, and how it is told
"""
