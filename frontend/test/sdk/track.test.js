import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { afterEach, beforeEach, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { bounded } from "../../src/sdk/base/backoff.js";
import { newId } from "../../src/sdk/base/id.js";
import { createOutbox } from "../../src/sdk/send/outbox.js";
import { createTracker } from "../../src/sdk/send/track.js";

// A real HTTP server that counts an id once, and answers with `answers` before it works.
let server;
let tracker;
let requests;
let reports;
let counted;
let answers;
let atOnce;
let mostAtOnce;

beforeEach(async () => {
  requests = [];
  reports = [];
  counted = new Map();
  answers = [];
  atOnce = mostAtOnce = 0;
  server = createServer(serve).listen(0, "127.0.0.1");
  await once(server, "listening");
});

afterEach(() => {
  tracker?.useKey(null);
  server.closeAllConnections();
  server.close();
});

async function serve(request, response) {
  mostAtOnce = Math.max(mostAtOnce, ++atOnce);
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const events = JSON.parse(Buffer.concat(chunks));
  const { searchParams } = new URL(request.url, "http://localhost");
  requests.push({ events, key: searchParams.get("api_key"), at: Date.now() });
  await sleep(answers[0]?.after ?? 5);
  atOnce -= 1;
  const answer = answers.shift() ?? { status: 200 };
  if (!answer.refuse) for (const { id, type, subject } of events) counted.set(id, `${type} ${subject}`);
  if (answer.cut) return request.socket.destroy();
  response.writeHead(answer.status, { "content-type": "application/json", ...answer.headers });
  response.end(answer.text ?? JSON.stringify(answer.body ?? ack(events.length)));
}

const ack = (accepted) => ({ accepted, duplicates: 0, rejected: [] });

function trackTo(options = {}) {
  tracker = createTracker({
    server: `http://127.0.0.1:${server.address().port}/`,
    fetch,
    openStore: () => storeWith(),
    report: (error) => reports.push(error),
    gatherMs: 10,
    limits: { base: 20, cap: 50 },
    ...options,
  });
  tracker.useKey("write-key");
  return tracker;
}

async function until(condition) {
  for (let i = 0; i < 2_000 && !condition(); i++) await sleep(5);
  assert.ok(condition(), `never came true: ${condition}`);
}

const drained = () => tracker.unconfirmed().length === 0;

test("a burst becomes one request, with the key and an id for each event", async () => {
  trackTo();
  for (let i = 0; i < 50; i++) tracker.track("hover", `colour ${i}`);
  await until(drained);
  assert.equal(requests.length, 1);
  assert.equal(requests[0].key, "write-key");
  assert.equal(counted.size, 50);
});

test("there is never more than one request under way, nor more events in one than allowed", async () => {
  trackTo({ outbox: createOutbox({ batchSize: 30 }) });
  for (let i = 0; i < 100; i++) {
    tracker.track("click", "red");
    if (i % 10 === 0) await sleep(3);
  }
  await until(drained);
  assert.equal(mostAtOnce, 1);
  assert.equal(counted.size, 100);
  for (const { events } of requests) assert.ok(events.length <= 30);
});

test("an answer lost on the way means the same ids again, so that they count once", async () => {
  answers.push({ cut: true }, { cut: true });
  trackTo();
  for (let i = 0; i < 20; i++) tracker.track("click", "red");
  await until(drained);
  assert.equal(requests.length, 3);
  assert.equal(counted.size, 20);
  const ids = requests.map(({ events }) => events.map(({ id }) => id).join());
  assert.equal(new Set(ids).size, 1);
});

test("503 and 429 are waited out as long as the server asks, also by events that come later", async () => {
  answers.push({ status: 503, refuse: true, headers: { "retry-after": "1" } });
  const again = [];
  trackTo({ changed: (retrying) => again.push(retrying) });
  tracker.track("click", "red");
  await until(() => again.length === 1);
  tracker.track("click", "blue");
  tracker.hurry();
  tracker.leave();
  await until(drained);
  assert.equal(requests.length, 2);
  assert.ok(requests[1].at - requests[0].at >= 1_000, `${requests[1].at - requests[0].at} ms`);
  assert.deepEqual([...counted.values()].sort(), ["click blue", "click red"]);
  assert.deepEqual(again, [true, false]);
});

test("an event that the server will never take is told about and not sent again", async () => {
  const rejected = [{ index: 1, error: { code: "invalid", message: "The subject is too long." } }];
  answers.push({ status: 200, body: { accepted: 1, duplicates: 0, rejected } });
  trackTo();
  tracker.track("click", "red");
  const id = tracker.track("click", "x".repeat(2_000));
  await until(drained);
  await sleep(50);
  assert.equal(requests.length, 1);
  assert.deepEqual(told(), [["invalid", [id]]]);
});

test("one event that makes the server refuse a whole request doesn't take the others with it", async () => {
  const refusal = refusalOf(400, "malformed_json");
  answers.push(refusal, refusal, refusal);
  trackTo();
  for (const subject of ["bad", "good", "good", "good", "good"]) tracker.track("click", subject);
  await until(drained);
  assert.deepEqual(reports.map(({ code, events }) => [code, events[0].subject]), [["malformed_json", "bad"]]);
  assert.deepEqual([...counted.values()], Array(4).fill("click good"));
});

test("a refused key stops the sending, and the next key sends what waited", async () => {
  answers.push(refusalOf(401, "unknown_key"));
  trackTo();
  tracker.track("click", "red");
  await until(() => reports.length > 0);
  tracker.track("click", "blue");
  await sleep(60);
  assert.deepEqual(told(), [["unknown_key", []]]);
  assert.equal(requests.length, 1);
  tracker.useKey("better-key");
  await until(drained);
  assert.equal(requests[1].key, "better-key");
  assert.deepEqual([...counted.values()].sort(), ["click blue", "click red"]);
});

test("a full queue says which events it could not take", async () => {
  trackTo({ outbox: createOutbox({ capacity: 3 }) });
  const ids = Array.from({ length: 5 }, () => tracker.track("hover", "red"));
  assert.deepEqual(told(), [["queue_full", [ids[3]]], ["queue_full", [ids[4]]]]);
  await until(drained);
  assert.equal(counted.size, 3);
});

// --- Whoever answers, it is the server only if the answer has its form.

const refusalOf = (status, code) => ({
  status,
  refuse: true,
  body: { error: { code, message: "No." } },
});
const told = () => reports.map(({ code, events }) => [code, events.map(({ id }) => id)]);

const STRANGERS = {
  "a captive portal": { status: 200, text: "<html>Log in</html>" },
  "an empty answer": { status: 200, text: "" },
  "half an answer": { status: 200, text: '{"accepted":2,"dupl' },
  "a login page after a redirect": { status: 302, text: "", headers: { location: "/login" } },
  "a move": { status: 301, text: "", headers: { location: "https://elsewhere.invalid/" } },
  "no content": { status: 204, text: "" },
  "foreign JSON": { status: 200, body: { results: [] } },
  "another service's count": { status: 200, body: { accepted: 2 } },
  "an acknowledgement of something else": { status: 200, body: { accepted: 7, duplicates: 0, rejected: [] } },
  "text where numbers should be": { status: 200, body: { accepted: "2", duplicates: "", rejected: [] } },
  null: { status: 200, text: "null" },
  "a firewall": { status: 403, text: "Request blocked" },
  "a gateway's JSON": { status: 403, body: { error: { code: 403, message: "Forbidden" } } },
  "a named refusal": { status: 401, body: { error: { code: "unauthorized", message: "No." } } },
  "a gateway's JSON of our form": { status: 400, body: { error: { code: "bad_request", message: "" } } },
  "an API that stands there now": { status: 422, body: { error: { code: "invalid", message: "" } } },
  "a router without backends": { status: 404, text: "404 page not found" },
  "an older router": { status: 405, text: "" },
  "a gateway that limits": { status: 429, text: "" },
  "a proxy without backends": { status: 502, text: "<h1>Bad gateway</h1>" },
  "a proxy that takes no such size": { status: 413, text: "<h1>Too large</h1>" },
};

for (const [name, stranger] of Object.entries(STRANGERS)) {
  test(`nothing is lost to ${name}, nor sent again without a pause`, async () => {
    answers.push(...Array(3).fill({ ...stranger, refuse: true }));
    let answered = 0;
    const limits = { base: 60_000, cap: 60_000, random: () => 1 };
    trackTo({ limits, changed: () => (answered += 1) });
    tracker.track("click", "red");
    tracker.track("click", "blue");
    for (const n of [1, 2, 3]) {
      await until(() => answered === n);
      await sleep(20);
      assert.equal(requests.length, n, "without a pause");
      tracker.hurry();
    }
    await until(drained);
    const strange = stranger.status < 500 && stranger.status !== 429;
    assert.deepEqual(told(), strange ? [["foreign_answer", []]] : []);
  });
}

test("an event that a firewall never lets pass keeps none of the others", async () => {
  const blocked = (events) => events.some(({ subject }) => subject === "<script>");
  const sent = [];
  trackTo({
    fetch: async (url, { body }) => {
      const events = JSON.parse(body);
      sent.push(events.length);
      if (blocked(events)) return new Response("Blocked", { status: 403 });
      for (const { id, subject } of events) counted.set(id, subject);
      return Response.json(ack(events.length));
    },
  });
  for (const subject of ["<script>", "a", "b", "c", "d", "e"]) tracker.track("click", subject);
  await until(() => counted.size === 5);
  assert.deepEqual([...counted.values()].sort(), ["a", "b", "c", "d", "e"]);
  assert.equal(tracker.unconfirmed().length, 1);
  assert.deepEqual(told(), [["foreign_answer", []]]);
});

test("a refusal of our own that isn't about the events leaves them waiting", async () => {
  answers.push(
    refusalOf(408, "request_timeout"),
    refusalOf(429, "rate_limited"),
    refusalOf(500, "internal"),
  );
  trackTo();
  tracker.track("click", "red");
  await until(drained);
  assert.equal(requests.length, 4);
  assert.deepEqual(told(), []);
});

test("what a stranger asks to wait is bounded", async () => {
  assert.equal(bounded(86_400_000), 300_000);
  assert.equal(bounded(Number.NaN), 0);
  assert.equal(bounded(-5), 0);
});

// --- A page that goes away.

test("a page out of sight sends what waits at once, in a request that outlives it", async () => {
  const asked = [];
  trackTo({
    gatherMs: 200,
    fetch: (url, init) => {
      asked.push([init.keepalive, init.body.length]);
      return fetch(url, { ...init, keepalive: false });
    },
  });
  await sleep(20);
  for (let i = 0; i < 1_000; i++) tracker.track("hover", "mediumspringgreen");
  tracker.leave();
  tracker.leave(true);
  assert.equal(asked.length, 1, "it is under way already");
  const [[keepalive, length]] = asked;
  assert.ok(keepalive && length < 64 * 1024, `${length} characters`);
  await until(drained);
  assert.equal(counted.size, 1_000);
});

test("what is under way when the page goes away goes with it a second time", async () => {
  answers.push({ status: 200, after: 200 });
  trackTo();
  tracker.track("click", "red");
  await until(() => requests.length === 1);
  tracker.track("click", "blue");
  tracker.leave(true);
  tracker.leave(true);
  await until(() => requests.length === 2);
  assert.deepEqual(requests[1].events.map(({ subject }) => subject), ["red", "blue"]);
  await until(drained);
  assert.equal(counted.size, 2);
});

test("a beacon takes what the browser lets no request carry away", async (context) => {
  const beacons = [];
  const navigator = { sendBeacon: (url, text) => beacons.push({ url, text }) };
  const before = Object.getOwnPropertyDescriptor(globalThis, "navigator") ?? { value: undefined, configurable: true };
  context.after(() => Object.defineProperty(globalThis, "navigator", before));
  Object.defineProperty(globalThis, "navigator", { value: navigator, configurable: true });
  trackTo({ gatherMs: 60_000, fetch: () => Promise.reject(new TypeError("quota")) });
  await sleep(20);
  tracker.track("click", "red");
  tracker.leave(true);
  await until(() => beacons.length === 1);
  const [{ url, text }] = beacons;
  assert.ok(url.endsWith("/v1/events?api_key=write-key"), url);
  assert.deepEqual(JSON.parse(text).map(({ subject }) => subject), ["red"]);
});

// --- Clocks and foreign code.

test("a clock that is set while events wait makes none too old, nor the pauses longer", async (context) => {
  answers.push({ status: 503, refuse: true, text: "" });
  trackTo();
  tracker.track("click", "red");
  await until(() => requests.length === 1);
  const { now } = Date;
  for (const days of [3, -3]) {
    Date.now = () => now() + days * 86_400_000;
    context.after(() => (Date.now = now));
    tracker.track("click", `${days}`);
  }
  await until(drained);
  assert.equal(counted.size, 3);
  assert.deepEqual(told(), []);
});

test("a library's toJSON on arrays, and half an emoji, change nothing", async (context) => {
  Array.prototype.toJSON = function () {
    return `[${[...this].join()}]`;
  };
  context.after(() => delete Array.prototype.toJSON);
  trackTo();
  tracker.track("click", "wow 😀".slice(0, 5), { tags: ["a", "\ud83d b", "\\ud83d"], at: { x: [1] } });
  await until(() => requests.length === 1);
  const [{ subject, properties }] = requests[0].events;
  delete Array.prototype.toJSON;
  await until(drained);
  assert.equal(subject, "wow �");
  assert.deepEqual(properties, { tags: ["a", "� b", "\\ud83d"], at: { x: [1] } });
});

// --- What is on disk (here: in a list) for the pages to come.

/** Does what the store does, and says what was asked of it. */
function storeWith(adopted = []) {
  const kept = new Map(adopted.map((event) => [event.id, event]));
  return {
    kept,
    keep: (event) => kept.set(event.id, event),
    forget: (events) => events.forEach(({ id }) => kept.delete(id)),
    adopt: async () => adopted.splice(0),
    belongsTo: () => false,
    keyRejected() {},
    write() {},
  };
}

const now = () => new Date().toISOString();

test("events that an earlier page kept are sent with the ids they had, and then forgotten", async () => {
  const event = { id: "from-before", type: "click", subject: "red", occurred_at: now() };
  const store = storeWith([event]);
  trackTo({ openStore: () => store });
  await until(() => counted.size === 1 && store.kept.size === 0);
  assert.deepEqual([...counted], [["from-before", "click red"]]);
});

test("an event is kept until the server has answered, also with a refusal", async () => {
  const store = storeWith();
  const rejected = [{ index: 0, error: { code: "invalid_event", message: "Too long." } }];
  const error = { code: "invalid_event", message: "Too long." };
  const body = { accepted: 0, duplicates: 0, rejected, error };
  answers.push({ cut: true }, { status: 422, refuse: true, body });
  trackTo({ openStore: () => store });
  const id = tracker.track("click", "red");
  assert.deepEqual([...store.kept.keys()], [id]);
  await until(() => requests.length === 1);
  assert.deepEqual([...store.kept.keys()], [id]);
  await until(() => store.kept.size === 0);
  assert.deepEqual(told(), [["invalid_event", [id]]]);
});

test("what is older than the server remembers ids is dropped and told about, never sent", async () => {
  const old = { id: "old", type: "click", subject: "red", occurred_at: "2020-01-01T00:00:00Z" };
  const store = storeWith([old, { ...old, id: "old too" }]);
  trackTo({ openStore: () => store });
  tracker.track("click", "blue");
  await until(() => counted.size === 1 && reports.length === 1);
  assert.deepEqual(told(), [["expired", ["old", "old too"]]]);
  assert.deepEqual([...counted.values()], ["click blue"]);
  await until(() => store.kept.size === 0);
});

test("a key that comes later takes what waited to its own store", async () => {
  const stores = [];
  const openStore = (...to) => (stores.push({ to, ...storeWith() }), stores.at(-1));
  answers.push(refusalOf(403, "foreign_origin"));
  trackTo({ openStore });
  const id = tracker.track("click", "red");
  await until(() => requests.length === 1);
  assert.ok(stores[0].kept.has(id));
  await until(() => reports.length === 1);
  tracker.useKey("other-key");
  assert.equal(stores[0].kept.size, 0);
  await until(drained);
  await until(() => stores[1].kept.size === 0);
  assert.deepEqual([...counted], [[id, "click red"]]);
  assert.deepEqual(stores.map(({ to }) => to[1]), ["write-key", "other-key"]);
});

test("a request that is too large for a proxy is sent in smaller ones", async () => {
  for (let i = 0; i < 3; i++) answers.push({ status: 413, refuse: true, text: "" });
  trackTo();
  for (let i = 0; i < 16; i++) tracker.track("click", "red");
  await until(drained);
  assert.equal(counted.size, 16);
  assert.deepEqual(requests.slice(0, 4).map(({ events }) => events.length), [16, 8, 4, 2]);
});

test("where crypto.randomUUID is missing the ids are random UUIDs all the same", () => {
  const insecure = { getRandomValues: (bytes) => crypto.getRandomValues(bytes) };
  const ids = Array.from({ length: 100 }, () => newId(insecure));
  for (const id of ids) {
    assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  }
  assert.equal(new Set(ids).size, 100);
});
