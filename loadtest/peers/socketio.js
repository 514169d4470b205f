// Socket.IO over websockets only, as its documentation broadcasts: a room, and one `emit` to it.
import { Server } from "socket.io";

const INTERVAL_MS = Number(process.env.PEER_INTERVAL_MS);
const counts = {};
let total = 0;
let changed = false;

const io = new Server(Number(process.env.PEER_PORT), { transports: ["websocket"], serveClient: false });
io.on("connection", (socket) => {
  socket.on("subscribe", ({ id }) => {
    socket.join("totals");
    socket.emit("m", { type: "snapshot", id, totals: counts, total });
  });
  socket.on("track", ({ ref, events }) => {
    for (const { subject } of events) counts[subject] = (counts[subject] ?? 0) + 1;
    total += events.length;
    changed = true;
    socket.emit("m", { type: "ack", ref, accepted: events.length, duplicates: 0 });
  });
});
setInterval(() => {
  if (!changed) return;
  changed = false;
  io.to("totals").emit("m", { type: "update", id: 0, totals: counts, total });
}, INTERVAL_MS);
