"""Color tracking over HTTP and a websocket.

http       stats, a project's and an admin's
websocket  whole lists, pushed
encoders   how it shows what the hub tells a viewer
"""
