"""Pages that do what the older systems' pages do, with the libraries that those load, from another
origin. A user has changed the host and the key in them, and nothing else."""

import contextlib
from collections.abc import AsyncIterator

from aiohttp import web

from service.tests.support.paths import MODULES
from service.tests.support.process import free_port

#: What a page may load, by its name there.
LIBRARIES = {
    "jquery.js": "jquery/dist/jquery.js",
    "d3.js": "d3/dist/d3.js",
    "action_cable.js": "actioncable/lib/assets/compiled/action_cable.js",
    "rails_action_cable.js": "@rails/actioncable/app/assets/javascripts/actioncable.js",
    "reconnecting-websocket.js": "reconnecting-websocket/dist/reconnecting-websocket-iife.js",
}

#: Four slices in a fixed order, filled by place from the list of an answer.
_DONUT = """
const donut = (names, list, count) => {
  const arcs = d3.pie().sort(null)(list.slice(0, names.length).map((each) => each[count]));
  d3.select("svg").selectAll("path").data(arcs).join("path")
    .attr("d", d3.arc().innerRadius(40).outerRadius(80))
    .attr("data-color", (_, place) => names[place])
    .attr("data-count", (arc) => arc.value);
};
"""

#: Color tracking, serverless: jQuery names no content type; a websocket at the stage.
COLORS = (
    """<!doctype html><title>colors</title><button>red</button><svg></svg>
<script src="/jquery.js"></script><script src="/d3.js"></script><script>"""
    + _DONUT
    + """
const api_key = "KEY";
const socket = new WebSocket("ws://HOST/dev");
socket.onopen = () => socket.send(JSON.stringify({ action: "add_api_key", api_key }));
socket.onmessage = (event) => {
  const data = JSON.parse(event.data);
  if (data.event_type === "click") donut(["green", "red", "blue", "yellow"], data.stats, "count");
};
const send = (action, color) => $.ajax({
  type: "POST",
  url: "http://HOST/dev/v1/events",
  headers: { Authorization: api_key },
  data: `{ "action" : "${action}", "color" : "${color}" }`,
  success: (answer) => $("body").attr("data-sent", answer.message),
  error: (answer) => $("body").attr("data-sent", answer.status),
});
</script>"""
)

#: Color tracking with Rails: a form, and a consumer that is given an address and nothing else.
RAILS = (
    """<!doctype html><title>rails</title><svg></svg>
<script src="/jquery.js"></script><script src="/d3.js"></script>
<script src="/LIBRARY"></script><script>"""
    + _DONUT
    + """
const cable = ActionCable.createConsumer("ws://HOST/v1/events/cable?api_key=KEY&cable_ready=true");
cable.subscriptions.create("ClicksChannel", {
  connected: () => $("body").attr("data-connected", "yes"),
  received: (data) => donut(
    ["blue", "green", "red", "yellow"], data.operations.consoleLog[0].message.results, "amount"),
});
const send = (color) => $.ajax({
  type: "POST",
  url: "http://HOST/v1/events",
  headers: { Authorization: "Token token=KEY" },
  data: { action_color: { action_name: "click", color_name: color } },
});
</script>"""
)

#: Page views for a blog, through a socket that comes back by itself.
BLOG = """<!doctype html><title>blog</title>
<script src="/reconnecting-websocket.js"></script><script>
const socket = new ReconnectingWebSocket("ws://HOST/prod?api_key=KEY");
socket.onopen = () => socket.send(JSON.stringify({
  message: "views",
  articleId: "a1",
  articleTitle: "One",
  previousPage: "/",
  currentPage: "/posts/1",
}));
socket.onmessage = (event) => { document.title = JSON.parse(event.data).totalViews; };
</script>"""


@contextlib.asynccontextmanager
async def page_at(html: str, host: str, key: str) -> AsyncIterator[str]:
    """The address of a page whose host and key are these."""
    text = html.replace("HOST", host).replace("KEY", key)

    async def page(request: web.Request) -> web.Response:
        return web.Response(text=text, content_type="text/html")

    async def library(request: web.Request) -> web.FileResponse:
        return web.FileResponse(MODULES / LIBRARIES[request.match_info["name"]])

    app = web.Application()
    app.add_routes([web.get("/", page), web.get("/{name}", library)])
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield f"http://127.0.0.1:{port}/"
    finally:
        await runner.cleanup()
