import requests  # pip install requests websocket-client
import websocket

headers = {"x-api-key": "{{key}}"}
requests.put("{{url}}/v1/items/vehicle-id/3", json={"lat": 41.4, "on": True}, headers=headers)

# The key's name may also stand in a header: header={"vehicle-id": "3", "x-api-key": "…"}.
socket = websocket.create_connection("{{ws}}/ws?vehicle-id=3&api_key={{key}}")
print(socket.recv())  # the item at once; whoever goes on reading gets it whenever it changes
socket.close()
