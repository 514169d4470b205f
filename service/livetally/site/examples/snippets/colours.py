import json

import requests  # pip install requests websocket-client
import websocket

api = requests.Session()
api.headers["Authorization"] = "{{key}}"
print(api.post("{{url}}/v1/events", json={"action": "click", "color": "red"}).text)
print(api.get("{{url}}/v1/stats", params={"action": "click"}).text)

socket = websocket.create_connection("{{ws}}/ws")
socket.send(json.dumps({"action": "add_api_key", "api_key": "{{key}}"}))
print(socket.recv())  # hovers
print(socket.recv())  # clicks; whoever goes on reading gets each list as it changes
socket.close()
