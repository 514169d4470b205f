import requests  # pip install requests

api = requests.Session()
api.auth = ("{{project}}", "{{key}}")
click = {"session_id": "s1", "button_id": "buy"}
print(api.post("{{url}}/button/click", json=click).text)
print(api.get("{{url}}/button/click/count", params={"button_id": "buy"}).text)
