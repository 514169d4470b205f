import json

import requests  # pip install requests websocket-client
import websocket

view = {
    "message": "views",
    "articleId": "a1",
    "articleTitle": "T",
    "currentPage": "/posts/x",
    "referrer": "https://news.example/",
}
socket = websocket.create_connection("{{ws}}/ws?api_key={{key}}")
socket.send(json.dumps(view))
print(socket.recv())  # this view is in it; others' follow as they come
socket.close()

headers = {"x-api-key": "{{key}}"}
print(requests.get("{{url}}/v1/pages", params={"article": "a1"}, headers=headers).text)
