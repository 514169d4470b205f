import json

import requests  # pip install requests websocket-client
import websocket

api = requests.Session()
api.headers["Authorization"] = "Token token={{key}}"
click = {"action_color": {"action_name": "click", "color_name": "blue"}}
print(api.post("{{url}}/v1/events", json=click).status_code)
print(api.get("{{url}}/v1/events", params={"action_name": "click"}).text)

cable = websocket.create_connection(
    "{{ws}}/v1/events/cable?api_key={{key}}", subprotocols=["actioncable-v1-json"]
)
clicks = json.dumps({"channel": "ClicksChannel"})
cable.send(json.dumps({"command": "subscribe", "identifier": clicks}))
while "results" not in (message := cable.recv()):
    pass  # a welcome, a confirmation, perhaps a ping
print(message)  # whoever goes on reading gets the results as they change
cable.close()
