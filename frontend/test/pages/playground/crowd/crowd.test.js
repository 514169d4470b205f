import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, test } from "node:test";
import { WebSocket, WebSocketServer } from "ws";
import { Crowd, MOST_SOCKETS } from "../../../../src/pages/playground/crowd/crowd.js";
import { sayCrowd, sayFigures } from "../../../../src/pages/playground/crowd/crowd_form.js";

const FAST = { tick: 5, connectWithin: 5_000, finishWithin: 200 };

let server;
let url;
let react;
let sockets;

before(async () => {
  server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  await once(server, "listening");
  url = `ws://127.0.0.1:${server.address().port}`;
  server.on("connection", (socket) => {
    sockets.push(socket);
    socket.on("message", (data) => react(socket, JSON.parse(data)));
  });
});
after(() => server.close());

/** What a server does that stores everything, and what it was sent. */
function storing() {
  const events = [];
  sockets = [];
  react = (socket, message) => {
    if (message.type === "auth") return socket.send('{"type":"ready"}');
    events.push({ ...message.events[0], at: performance.now(), socket });
    socket.send(JSON.stringify({ type: "ack", ref: message.ref, accepted: 1, duplicates: 0 }));
  };
  return events;
}

function crowdOf(times = {}) {
  let told = () => {};
  const crowd = new Crowd({
    url,
    key: "k",
    event: () => ({ type: "click", subject: "red" }),
    changed: () => told(),
    WebSocket,
    times: { ...FAST, ...times },
  });
  const until = (condition) =>
    new Promise((done) => {
      told = () => condition(crowd.state) && done();
      told();
    });
  return { crowd, until };
}

test("users open real sockets and send at the rate that was chosen, and all is counted", async () => {
  const events = storing();
  const { crowd, until } = crowdOf();
  const most = [];
  crowd.start({ users: 30, rate: 200, seconds: 0.5 });
  await until((state) => most.push(state.open) && state.phase === "done");
  assert.equal(sockets.length, 30);
  assert.ok(most.some((open) => open > 0 && open < 30), "sockets opened a few at a time");
  assert.ok(events.length > 20 && events.length <= 100, `${events.length} events in 0.5 s at 200/s`);
  assert.deepEqual([crowd.state.sent, crowd.state.counted], [events.length, events.length]);
  assert.equal(new Set(events.map(({ id }) => id)).size, events.length);
  assert.ok(new Set(events.map(({ session }) => session)).size > 10);
  await Promise.all(sockets.map((socket) => socket.readyState === 3 || once(socket, "close")));
});

test("more users than a browser has sockets share them, and each sends as itself", async () => {
  const events = storing();
  const { crowd, until } = crowdOf();
  crowd.start({ users: MOST_SOCKETS + 50, rate: 2_000, seconds: 60 });
  await until(({ counted }) => counted > 600);
  assert.equal(sockets.length, MOST_SOCKETS);
  assert.equal(sayCrowd(crowd.state), "200 websockets, shared by 250 users, all open.");
  crowd.stop({ atOnce: true });
  const shared = new Map();
  for (const { socket, session } of events) {
    shared.set(socket, (shared.get(socket) ?? new Set()).add(session));
  }
  assert.equal(Math.max(...[...shared.values()].map(({ size }) => size)), 2);
  assert.equal(crowd.state.phase, "done");
});

test("a clock that was stopped makes no burst, and neither does a slow server", async () => {
  const events = storing();
  const { crowd, until } = crowdOf();
  crowd.start({ users: 1, rate: 100, seconds: 60 });
  await until(({ sent }) => sent > 5);
  const before = crowd.state.sent;
  const wake = performance.now() + 1_500;
  while (performance.now() < wake); // as of a tab in the background
  await new Promise((done) => setTimeout(done, 30));
  assert.ok(crowd.state.sent - before < 30, `${crowd.state.sent - before} at once`);

  react = () => {};
  await until(({ waiting }) => waiting >= 200);
  await new Promise((done) => setTimeout(done, 100));
  assert.equal(crowd.state.waiting, 200);
  assert.match(sayFigures(crowd.state), /200 under way/);
  crowd.stop();
  assert.equal(crowd.state.phase, "finishing");
  await until(({ phase }) => phase === "done");
  assert.equal(crowd.state.lost, 200);
  assert.ok(events.length > 0);
});

test("a user whose connection is cut comes back, and what had no answer is said", async () => {
  storing();
  const { crowd, until } = crowdOf();
  crowd.start({ users: 2, rate: 50, seconds: 60 });
  await until(({ counted }) => counted > 3);
  react = (socket, { type }) => type === "auth" && socket.send('{"type":"ready"}');
  await until(({ waiting }) => waiting > 1);
  sockets[0].terminate();
  sockets[1].terminate();
  await until(({ open, lost }) => open === 2 && lost > 1 && sockets.length === 4);
  crowd.stop({ atOnce: true });
});

test("a key that may not write ends it, with the reason", async () => {
  storing();
  react = (socket, { type, ref }) =>
    socket.send(
      JSON.stringify(
        type === "auth"
          ? { type: "ready" }
          : { type: "error", ref, code: "wrong_role", message: "The key may not write." },
      ),
    );
  const { crowd, until } = crowdOf();
  crowd.start({ users: 3, rate: 100, seconds: 60 });
  await until(({ phase }) => phase === "done");
  assert.equal(sayCrowd(crowd.state), "Ended: The key may not write.");
});
