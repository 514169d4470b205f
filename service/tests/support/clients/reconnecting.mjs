// Format 1's front end: reconnecting-websocket, which binds itself to a key whenever it is open.
//   node reconnecting.mjs URL KEY          prints what happens, a line of JSON each

import { createRequire } from "node:module";

const require = createRequire(new URL("../../../../frontend/package.json", import.meta.url));
const WebSocket = require("ws");
const ReconnectingWebSocket = require("reconnecting-websocket");

const [url, key] = process.argv.slice(2);
const print = (value) => process.stdout.write(JSON.stringify(value) + "\n");

const socket = new ReconnectingWebSocket(url, [], { WebSocket });
socket.addEventListener("open", () => {
  print({ event: "open" });
  socket.send(JSON.stringify({ action: "add_api_key", api_key: key }));
});
socket.addEventListener("close", () => print({ event: "close" }));
socket.addEventListener("message", ({ data }) => print({ event: "message", data: JSON.parse(data) }));
