"""Pages of the older systems, in a real browser and on another origin than the server: what they
send passes the browser's preflight, and they can read what is answered, errors too."""

import json
from base64 import b64encode
from typing import Any

import pytest
from playwright.async_api import Page

from livetally.schema.keys import Role
from service.tests.support.browser.chromium import find_chromium, launched
from service.tests.support.server import Service, serving

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(find_chromium() is None, reason="no Chromium or Chrome found"),
]

#: Each as its pages wrote it; the last is `fetch` with Basic.
_ASK = """async ([url, asked]) => {
  const xhr = (method, path, headers, body) => new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open(method, url + path);
    Object.entries(headers).forEach(([name, value]) => request.setRequestHeader(name, value));
    request.onload = () => resolve([request.status, request.responseText]);
    request.onerror = () => reject(new Error(`${method} ${path} is blocked`));
    request.send(body);
  });
  const fetched = async (method, path, headers, body) => {
    const response = await fetch(url + path, { method, headers, body });
    return [response.status, await response.text()];
  };
  const answers = [];
  for (const [way, ...request] of asked) answers.push(await { xhr, fetched }[way](...request));
  return answers;
}"""


async def ask(page: Page, service: Service, *asked: tuple[Any, ...]) -> list[tuple[int, Any]]:
    """What the page reads of each: (status, JSON)."""
    answers = await page.evaluate(_ASK, [service.url, asked])
    return [(status, json.loads(text or "null")) for status, text in answers]


async def test_pages_of_another_origin_send_ask_and_read_errors(
    service: Service, redis_url: str
) -> None:
    """Format 1's XHR, format 2's form, and format 5's `fetch` with Basic: sent, asked for, refused,
    and without a key that is any good."""
    key = service.keys[Role.READ_WRITE]
    async with (
        serving(service.database_url, redis_url, service.keys) as pages,
        launched() as browser,
    ):
        # What is tested is the server, not what a page of its own may do.
        page = await browser.new_page(bypass_csp=True)
        await page.goto(f"{pages.url}/healthz")

        raw = {"Authorization": key, "Content-Type": "application/json"}
        red = '{"action":"click","color":"red"}'
        stored, stats, refused, stranger = await ask(
            page,
            service,
            ("xhr", "POST", "/v1/events", raw, red),
            ("xhr", "GET", "/v1/stats?action=click", {"x-api-key": key}),
            ("xhr", "POST", "/v1/events", raw, red.replace('"red"', "5")),
            ("xhr", "POST", "/v1/events", {**raw, "Authorization": "nobody"}, red),
        )
        assert (stored[0], stored[1]["accepted"]) == (200, 1)
        assert stats == (200, {"stats": [{"action": "click", "color": "red", "count": 1}]})
        assert (refused[0], bool(refused[1]["message"])) == (422, True)
        assert (stranger[0], stranger[1]["message"][:13]) == (401, "Unauthorized:")

        token = {"Authorization": f"Token token={key}"}
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        blue = "action_color[action_name]=click&action_color[color_name]=blue"
        stored, results, refused, stranger = await ask(
            page,
            service,
            ("xhr", "POST", "/v2/events", {**form, **token}, blue),
            ("fetched", "GET", "/v2/events?action_name=click", token),
            ("fetched", "POST", "/v2/events", {**form, **token}, "action_name=click"),
            ("fetched", "POST", "/v2/events", {**form, "Authorization": "Token nobody"}, blue),
        )
        assert stored == (204, None)
        assert [each["color"] for each in results[1]["results"]] == ["blue", "red"]
        assert (refused[0], refused[1]["status"]) == (400, "error")
        assert (stranger[0], stranger[1]["message"]) == (401, "Bad credentials")

        def basic(login: str) -> dict[str, str]:
            return {"Authorization": f"Basic {b64encode(login.encode()).decode()}"}

        demo = basic(f"demo:{key}")
        json_type = {"Content-Type": "application/json"}
        buy = '{"session_id":"s","button_id":"buy"}'
        stored, count, refused, wrong, malformed = await ask(
            page,
            service,
            ("fetched", "POST", "/button/click", {**json_type, **demo}, buy),
            ("fetched", "GET", "/button/click/count?button_id=buy", demo),
            ("fetched", "POST", "/button/click", {**json_type, **demo}, "{}"),
            ("fetched", "GET", "/button/click/count?button_id=buy", basic("demo:wrong")),
            ("fetched", "GET", "/button/click/count?button_id=buy", basic("nocolon")),
        )
        assert (stored, count) == ((200, {"message": "Received"}), (200, {"count": 1}))
        assert (refused[0], refused[1]["detail"][0]["loc"]) == (422, ["body", "session_id"])
        assert (wrong[0], malformed[0]) == (403, 401)
