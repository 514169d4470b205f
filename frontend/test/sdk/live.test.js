import assert from "node:assert/strict";
import { once } from "node:events";
import { afterEach, beforeEach, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { WebSocket, WebSocketServer } from "ws";
import { Live } from "../../src/sdk/live/live.js";

// Real sockets on both ends; only the times are short.
const TIMES = { readyWithin: 400, pingEvery: 40, pongWithin: 250, steadyAfter: 5_000 };
const TOPICS = [{ totals: "click" }, { totals: "hover" }];

// Node ends a process whose socket fails unheard; a browser only fires events.
class BrowserLikeSocket extends WebSocket {
  constructor(url) {
    super(url);
    this.on("error", () => {});
  }
}

let server;
let live;
let heard;
let states;
let connections;
let behaviour;

beforeEach(async () => {
  heard = [];
  states = [];
  connections = 0;
  behaviour = { ready: true, snapshots: true, pong: true };
  server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
  server.on("connection", serve);
  await once(server, "listening");
});

afterEach(() => {
  live.stop();
  for (const socket of server.clients) socket.terminate();
  server.close();
});

function serve(socket) {
  connections += 1;
  socket.on("message", (data) => {
    const message = JSON.parse(data);
    heard.push(message);
    if (message.type === "auth" && behaviour.declined) return say(socket, behaviour.declined);
    if (message.type === "auth" && behaviour.ready) say(socket, { type: "ready", project: "demo" });
    if (message.type === "ping" && behaviour.pong) say(socket, { type: "pong" });
    if (message.type !== "subscribe") return;
    const { id } = message;
    if (behaviour.feed && message.topic.feed) say(socket, { ...behaviour.feed, id });
    else if (behaviour.snapshots) say(socket, { type: "snapshot", id, totals: { red: id }, total: id });
    else if (behaviour.subscribeError) say(socket, { ...behaviour.subscribeError, id });
  });
}

const say = (socket, message) => socket.send(JSON.stringify(message));
const sayAll = (message) => server.clients.forEach((socket) => say(socket, message));

function connect(options = {}) {
  const calls = { snapshots: [], updates: [], fresh: 0, errors: [], refused: [] };
  const receive = ({ type, id, totals, total }) => calls[`${type}s`]?.push([id, totals, total]);
  live = new Live({
    url: `ws://127.0.0.1:${server.address().port}/v1/live`,
    WebSocket: BrowserLikeSocket,
    times: TIMES,
    random: () => 0,
    ...options,
    handlers: {
      ready() {},
      state: ({ name }) => states.at(-1) !== name && states.push(name),
      fresh: () => (calls.fresh += 1),
      error: ({ code }) => calls.errors.push(code),
      refused: (message) => calls.refused.push(message),
    },
  });
  for (const topic of TOPICS) live.subscribe(topic, receive);
  live.start("read-key");
  return calls;
}

async function until(condition) {
  for (let i = 0; i < 2_000 && !condition(); i++) await sleep(5);
  assert.ok(condition(), `never came true: ${condition}; ${states}`);
}

const is = (name) => () => live.state.name === name;

test("it says who it is first, subscribes when the server is ready, and is then live", async () => {
  const calls = connect();
  await until(is("live"));
  assert.deepEqual(heard.slice(0, 3), [
    { type: "auth", key: "read-key" },
    { type: "subscribe", id: 1, topic: { totals: "click" } },
    { type: "subscribe", id: 2, topic: { totals: "hover" } },
  ]);
  sayAll({ type: "update", id: 2, totals: { red: 9 }, total: 9 });
  await until(() => calls.updates.length === 1);
  assert.deepEqual(calls.snapshots, [
    [1, { red: 1 }, 1],
    [2, { red: 2 }, 2],
  ]);
  assert.deepEqual(calls.updates, [[2, { red: 9 }, 9]]);
  assert.deepEqual(states, ["connecting", "live"]);
});

test("it isn't called live while counts are missing", async () => {
  behaviour.snapshots = false;
  connect();
  await until(() => heard.length >= 3);
  await sleep(60);
  assert.equal(live.state.name, "connecting");
});

test("a restart of the server is announced, and the connection comes back with new snapshots", async () => {
  const calls = connect();
  await until(is("live"));
  const asked = Date.now() + 300;
  server.clients.forEach((socket) => socket.close(1012, '{"reconnect_after_ms":300}'));
  await until(() => live.state.restarting);
  assert.ok(live.state.retryAt >= asked, "it comes back when the server asked it to");
  await until(is("live"));
  assert.equal(connections, 2);
  assert.equal(calls.snapshots.length, 4);
  assert.deepEqual(states, ["connecting", "live", "reconnecting", "live"]);
});

test("a server that is gone is tried again at growing distances until it is back", async () => {
  connect({ random: () => 0.02 });
  await until(is("live"));
  const { port } = server.address();
  server.clients.forEach((socket) => socket.terminate());
  server.close();
  await until(is("reconnecting"));
  await sleep(200);
  server = new WebSocketServer({ host: "127.0.0.1", port });
  server.on("connection", serve);
  await until(is("live"));
});

test("a connection that is dead without a close is noticed and replaced", async () => {
  connect();
  await until(is("live"));
  behaviour.pong = false;
  await until(is("reconnecting"));
  behaviour.pong = true;
  await until(is("live"));
  assert.equal(connections, 2);
});

test("a quiet connection whose pings are answered is kept", async () => {
  connect();
  await until(is("live"));
  await sleep(250);
  assert.equal(connections, 1);
  assert.ok(heard.filter(({ type }) => type === "ping").length >= 3);
  assert.deepEqual(states, ["connecting", "live"]);
});

test("a server that takes the connection but never gets ready is left", async () => {
  behaviour.ready = false;
  connect();
  await until(is("reconnecting"));
  behaviour.ready = true;
  await until(is("live"));
});

test("stale and fresh are told, and updates still come in while stale", async () => {
  const calls = connect();
  await until(is("live"));
  sayAll({ type: "stale" });
  await until(is("stale"));
  sayAll({ type: "update", id: 1, totals: { red: 2 }, total: 2 });
  sayAll({ type: "fresh" });
  await until(is("live"));
  assert.equal(calls.updates.length, 1);
  assert.equal(calls.fresh, 1);
});

test("a key that is no good is not tried again", async () => {
  const calls = connect();
  await until(is("live"));
  sayAll({ type: "error", code: "unknown_key", message: "The key is unknown." });
  server.clients.forEach((socket) => socket.close(1008, "The key is unknown."));
  await until(is("refused"));
  await sleep(120);
  assert.deepEqual(calls.refused, ["The key is unknown."]);
  assert.equal(connections, 1);
});

// --- Whoever takes the connection, it is the server only if it speaks like it.

test("a stranger's policy is no word on the key: it comes back", async () => {
  const calls = connect({ random: () => 0.02 });
  await until(is("live"));
  server.clients.forEach((socket) => socket.close(1008, "Blocked by policy"));
  await until(() => connections === 2 && is("live")());
  assert.deepEqual(calls.refused, []);
});

for (const text of ["<html>", "null", "7", "[]", '"ready"', "{}", '{"type":5}']) {
  test(`a stranger that says ${text} is left, and tried again after growing pauses`, async () => {
    const at = [];
    const portal = new WebSocketServer({ host: "127.0.0.1", port: 0 });
    portal.on("connection", (socket) => socket.send(text, () => at.push(performance.now())));
    await once(portal, "listening");
    live = new Live({
      url: `ws://127.0.0.1:${portal.address().port}`,
      WebSocket: BrowserLikeSocket,
      random: () => 0.1,
    });
    live.subscribe(TOPICS[0], assert.fail);
    live.start("read-key");
    await until(() => at.length === 4);
    live.stop();
    portal.close();
    const pauses = at.slice(1).map((time, i) => time - at[i]);
    assert.ok(pauses[0] >= 90 && pauses[2] > pauses[0], `${pauses}`);
  });
}

test("a wait that makes no sense is no wait, and none makes a hot loop", async () => {
  for (const retry_after_s of [1e12, "soon", -1, null]) {
    behaviour.declined = { type: "error", code: "unavailable", message: "…", retry_after_s };
    connections = 0;
    connect({ random: () => 0.1 });
    await until(() => live.state.name === "reconnecting");
    await sleep(40);
    assert.equal(connections, 1, `${retry_after_s}`);
    live.stop();
  }
});

test("where the browser allows no connection it says so, and the page goes on", async () => {
  class Forbidden {
    constructor() {
      throw new DOMException("An insecure WebSocket connection…", "SecurityError");
    }
  }
  connect({ WebSocket: Forbidden });
  assert.equal(live.state.name, "reconnecting");
});

test("a clock that is set has no say in the pauses", async (context) => {
  connect({ random: () => 1, times: { ...TIMES, steadyAfter: 60_000 } });
  await until(is("live"));
  const { now } = Date;
  context.after(() => (Date.now = now));
  Date.now = () => now() + 86_400_000;
  server.clients.forEach((socket) => socket.terminate());
  await until(() => is("live")() && connections === 2);
  server.clients.forEach((socket) => socket.terminate());
  await until(is("reconnecting"));
  assert.ok(live.state.retryAt - Date.now() > 900, "the second pause in a row is longer");
});

test("a key that may not read is refused too, though the server keeps the connection", async () => {
  behaviour.snapshots = false;
  behaviour.subscribeError = { type: "error", code: "wrong_role", message: "This needs a read key." };
  const calls = connect();
  await until(is("refused"));
  assert.deepEqual(calls.refused, ["This needs a read key."]);
});

test("a subscription that can't be had just now is asked for again on the same connection", async () => {
  behaviour.snapshots = false;
  behaviour.subscribeError = { type: "error", code: "unavailable", message: "…", retry_after_s: 0.05 };
  const calls = connect();
  await until(() => calls.errors.length >= 2);
  behaviour.snapshots = true;
  await until(is("live"));
  assert.equal(connections, 1);
});

test("a key that can't be checked just now means coming again later, not a refusal", async () => {
  behaviour.declined = { type: "error", code: "unavailable", message: "…", retry_after_s: 0.05 };
  const calls = connect();
  await until(is("reconnecting"));
  behaviour.declined = null;
  await until(is("live"));
  assert.deepEqual(calls.refused, []);
});

test("without a network it says offline, and comes back at once when hurried", async () => {
  let online = true;
  connect({ online: () => online, random: () => 1 });
  await until(is("live"));
  online = false;
  server.clients.forEach((socket) => socket.terminate());
  await until(is("offline"));
  online = true;
  live.hurry();
  await until(is("live"));
});

test("nothing is heard any more from a connection that was stopped", async () => {
  const calls = connect();
  await until(is("live"));
  live.stop();
  sayAll({ type: "update", id: 1, totals: { red: 5 }, total: 5 });
  await sleep(100);
  assert.equal(calls.updates.length, 0);
  assert.equal(connections, 1);
});

test("a frame that isn't JSON ends the connection, not the page", async () => {
  connect();
  await until(is("live"));
  server.clients.forEach((socket) => socket.send("{"));
  await until(() => connections === 2 && is("live")());
});

// --- Many subscriptions that come and go.

test("a subscription made later shares the connection, and ends without disturbing the others", async () => {
  const calls = connect();
  await until(is("live"));
  const received = [];
  const end = live.subscribe({ totals: "sale" }, (message) => received.push(message));
  await until(() => received.length === 1);
  end();
  end();
  await until(() => heard.some(({ type }) => type === "unsubscribe"));
  sayAll({ type: "update", id: 3, totals: { red: 9 }, total: 9 });
  sayAll({ type: "update", id: 1, totals: { red: 9 }, total: 9 });
  await until(() => calls.updates.length === 1);
  assert.equal(received.length, 1);
  assert.equal(connections, 1);
  assert.deepEqual(
    heard.filter(({ id }) => id === 3),
    [
      { type: "subscribe", id: 3, topic: { totals: "sale" } },
      { type: "unsubscribe", id: 3 },
    ],
  );
});

test("a feed goes on from the position it had got to, and after a gap from where that says", async () => {
  connect();
  const received = [];
  behaviour.feed = { type: "events", events: [{ id: "a" }], position: { 0: 1 } };
  live.subscribe({ feed: "click" }, (message) => received.push(message));
  await until(is("live"));
  sayAll({ type: "events", id: 3, events: [{ id: "b" }], position: { 0: 2 } });
  await until(() => received.length === 2);
  const asked = () => heard.filter(({ id, type }) => id === 3 && type === "subscribe");
  server.clients.forEach((socket) => socket.terminate());
  await until(() => asked().length === 2);
  behaviour.feed = { type: "gap", position: { 0: 70 } };
  server.clients.forEach((socket) => socket.terminate());
  await until(() => asked().length === 3 && is("live")());
  server.clients.forEach((socket) => socket.terminate());
  await until(() => asked().length === 4);
  assert.deepEqual(
    asked().map(({ topic }) => topic.since),
    [undefined, { 0: 2 }, { 0: 1 }, { 0: 70 }],
  );
});

test("a topic that the server doesn't know ends alone: it is told, and the others go on", async () => {
  const calls = connect();
  await until(is("live"));
  const received = [];
  behaviour.snapshots = false;
  behaviour.subscribeError = { type: "error", code: "bad_request", message: "No such topic." };
  const end = live.subscribe({ nonsense: 1 }, (message) => received.push(message.code));
  await until(() => received.length === 1);
  end();
  sayAll({ type: "update", id: 1, totals: { red: 9 }, total: 9 });
  await until(() => calls.updates.length === 1);
  assert.deepEqual(received, ["bad_request"]);
  assert.equal(live.state.name, "live");
  assert.ok(!heard.some(({ type }) => type === "unsubscribe"));
});
