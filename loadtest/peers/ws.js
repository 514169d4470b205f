// npm's `ws`, as its README broadcasts: the text made once, `send` to each that is open.
import { WebSocket, WebSocketServer } from "ws";

const INTERVAL_MS = Number(process.env.PEER_INTERVAL_MS);
const viewers = new Set();
const counts = {};
let total = 0;
let changed = false;

const server = new WebSocketServer({ host: "127.0.0.1", port: Number(process.env.PEER_PORT), backlog: 4096 });
server.on("connection", (socket) => {
  socket.on("close", () => viewers.delete(socket));
  socket.on("message", (data) => {
    const message = JSON.parse(data);
    if (message.type === "subscribe") {
      viewers.add(socket);
      socket.send(JSON.stringify({ type: "snapshot", id: message.id, totals: counts, total }));
    } else if (message.type === "track") {
      count(message.events);
      socket.send(JSON.stringify({ type: "ack", ref: message.ref, accepted: message.events.length, duplicates: 0 }));
    }
  });
});
setInterval(() => {
  if (!changed) return;
  changed = false;
  const update = Buffer.from(JSON.stringify({ type: "update", id: 0, totals: counts, total }));
  for (const viewer of viewers) {
    if (viewer.readyState === WebSocket.OPEN) viewer.send(update, { binary: false });
  }
}, INTERVAL_MS);

function count(events) {
  for (const { subject } of events) counts[subject] = (counts[subject] ?? 0) + 1;
  total += events.length;
  changed = true;
}
