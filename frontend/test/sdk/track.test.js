import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { afterEach, beforeEach, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { newId } from "../../src/sdk/base/id.js";
import { Outbox } from "../../src/sdk/send/outbox.js";
import { Tracker } from "../../src/sdk/send/track.js";

// A real HTTP server that counts an id once, and answers with `answers` before it works.
let server;
let tracker;
let requests;
let counted;
let answers;
let atOnce;
let mostAtOnce;

beforeEach(async () => {
  requests = [];
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
  requests.push({ events, key: request.headers["x-api-key"], at: Date.now() });
  await sleep(answers[0]?.after ?? 5);
  atOnce -= 1;
  const answer = answers.shift() ?? { status: 200 };
  if (!answer.refuse) for (const { id, type, subject } of events) counted.set(id, `${type} ${subject}`);
  if (answer.cut) return request.socket.destroy();
  response.writeHead(answer.status, { "content-type": "application/json", ...answer.headers });
  response.end(JSON.stringify(answer.body ?? { accepted: events.length, duplicates: 0, rejected: [] }));
}

function trackTo(options = {}) {
  const { port } = server.address();
  tracker = new Tracker({
    fetch: (path, init) => fetch(`http://127.0.0.1:${port}${path}`, init),
    gatherMs: 10,
    backoff: { base: 20, cap: 50 },
    ...options,
  });
  tracker.useKey("write-key");
  return tracker;
}

async function until(condition) {
  for (let i = 0; i < 2_000 && !condition(); i++) await sleep(5);
  assert.ok(condition(), `never came true: ${condition}`);
}

const drained = () => tracker.state().unconfirmed === 0;

test("a burst becomes one request, with the key and an id for each event", async () => {
  trackTo();
  for (let i = 0; i < 50; i++) tracker.track("hover", `colour ${i}`);
  await until(drained);
  assert.equal(requests.length, 1);
  assert.equal(requests[0].key, "write-key");
  assert.equal(counted.size, 50);
});

test("there is never more than one request under way, nor more events in one than allowed", async () => {
  trackTo({ outbox: new Outbox({ batchSize: 30 }) });
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
  trackTo();
  tracker.track("click", "red");
  await until(() => requests.length === 1);
  await sleep(50);
  assert.equal(tracker.state().retrying, true);
  tracker.track("click", "blue");
  tracker.hurry();
  await until(drained);
  assert.equal(requests.length, 2);
  assert.ok(requests[1].at - requests[0].at >= 1_000, `${requests[1].at - requests[0].at} ms`);
  assert.deepEqual([...counted.values()].sort(), ["click blue", "click red"]);
});

test("an event that the server will never take is told about and not sent again", async () => {
  const rejected = [{ index: 1, error: { code: "invalid", message: "The subject is too long." } }];
  answers.push({ status: 200, body: { accepted: 1, duplicates: 0, rejected } });
  trackTo();
  tracker.track("click", "red");
  tracker.track("click", "x".repeat(2_000));
  await until(drained);
  await sleep(50);
  assert.equal(requests.length, 1);
  assert.deepEqual(tracker.state().rejected, { count: 1, message: "The subject is too long." });
});

test("one event that makes the server refuse a whole request doesn't take the others with it", async () => {
  const refusal = { status: 400, refuse: true, body: { error: { message: "No JSON." } } };
  answers.push(refusal, refusal, refusal);
  trackTo();
  for (const subject of ["bad", "good", "good", "good", "good"]) tracker.track("click", subject);
  await until(drained);
  assert.deepEqual(tracker.state().rejected, { count: 1, message: "No JSON." });
  assert.deepEqual([...counted.values()], Array(4).fill("click good"));
});

test("a refused key stops the sending, and the next key sends what waited", async () => {
  const refusals = [];
  answers.push({ status: 401, refuse: true, body: { error: { message: "Unknown key." } } });
  trackTo({ refused: (message) => refusals.push(message) });
  tracker.track("click", "red");
  await until(() => refusals.length > 0);
  tracker.track("click", "blue");
  await sleep(60);
  assert.deepEqual(refusals, ["Unknown key."]);
  assert.equal(requests.length, 1);
  tracker.useKey("better-key");
  await until(drained);
  assert.equal(requests[1].key, "better-key");
  assert.deepEqual([...counted.values()].sort(), ["click blue", "click red"]);
});

test("a server that hangs is told about before the request fails", async () => {
  answers.push({ status: 200, after: 200 });
  const seen = [];
  trackTo({ slowAfterMs: 40, changed: () => seen.push(tracker.state()) });
  tracker.track("click", "red");
  await until(drained);
  assert.deepEqual(seen.map(({ slow, unconfirmed }) => [slow, unconfirmed]), [[true, 1], [false, 0]]);
});

test("a full queue says how many events it could not take", async () => {
  let changes = 0;
  trackTo({ outbox: new Outbox({ capacity: 3 }), changed: () => changes++ });
  for (let i = 0; i < 5; i++) tracker.track("hover", "red");
  assert.equal(tracker.state().dropped, 2);
  assert.ok(changes > 0);
  await until(drained);
  assert.equal(counted.size, 3);
});

test("leaving hands everything unconfirmed to beacons small enough for a browser", async () => {
  answers.push({ status: 503, refuse: true, headers: { "retry-after": "60" } });
  trackTo();
  tracker.track("click", "red");
  await until(() => tracker.state().retrying);
  for (let i = 0; i < 999; i++) tracker.track("hover", "mediumspringgreen");
  const beacons = [];
  tracker.leave((url, text) => beacons.push({ url, text }));
  const sent = beacons.flatMap(({ text }) => JSON.parse(text));
  assert.equal(new Set(sent.map(({ id }) => id)).size, 1_000);
  for (const { url, text } of beacons) {
    assert.equal(url, "/v1/events?api_key=write-key");
    assert.ok(text.length < 64 * 1024, `${text.length} characters`);
  }
});

// --- What is on disk (here: in a list) for the pages to come.

/** Does what the store does, and says what was asked of it. */
function storeWith({ adopted = [], tooOld = [] } = {}) {
  const kept = new Map(adopted.map((event) => [event.id, event]));
  return {
    kept,
    keep: (event) => kept.set(event.id, event),
    forget: (events) => events.forEach(({ id }) => kept.delete(id)),
    adopt: async () => ({ adopted: adopted.splice(0), tooOld: tooOld.splice(0) }),
    hold() {},
    release() {},
  };
}

const now = () => new Date().toISOString();

test("events that an earlier page kept are sent with the ids they had, and then forgotten", async () => {
  const event = { id: "from-before", type: "click", subject: "red", occurred_at: now() };
  const store = storeWith({ adopted: [event] });
  trackTo({ openStore: () => store });
  await until(() => counted.size === 1 && store.kept.size === 0);
  assert.deepEqual([...counted], [["from-before", "click red"]]);
});

test("an event is kept until the server has answered, also with a refusal", async () => {
  const store = storeWith();
  const rejected = [{ index: 0, error: { code: "invalid_event", message: "Too long." } }];
  answers.push({ cut: true }, { status: 422, refuse: true, body: { rejected } });
  const reports = [];
  trackTo({ openStore: () => store, report: (error) => reports.push(error) });
  const id = tracker.track("click", "red");
  assert.deepEqual([...store.kept.keys()], [id]);
  await until(() => requests.length === 1);
  assert.deepEqual([...store.kept.keys()], [id]);
  await until(() => store.kept.size === 0);
  assert.equal(reports.length, 1);
  assert.equal(reports[0].code, "invalid_event");
  assert.deepEqual(reports[0].events.map((event) => event.id), [id]);
});

test("what is older than the server remembers ids is dropped and told about, never sent", async () => {
  const old = { id: "old", type: "click", subject: "red", occurred_at: "2020-01-01T00:00:00Z" };
  const reports = [];
  trackTo({
    openStore: () => storeWith({ tooOld: [old], adopted: [{ ...old, id: "old too" }] }),
    report: ({ code, events }) => reports.push([code, events[0].id]),
  });
  tracker.track("click", "blue");
  await until(() => counted.size === 1 && reports.length === 2);
  assert.deepEqual(reports, [["expired", "old"], ["expired", "old too"]]);
  assert.deepEqual([...counted.values()], ["click blue"]);
});

test("a key that comes later takes what waited to its own store", async () => {
  const stores = [];
  const open = () => (stores.push(storeWith()), stores.at(-1));
  answers.push({ status: 403, refuse: true, body: { error: { message: "Not here." } } });
  trackTo({ openStore: open });
  const id = tracker.track("click", "red");
  await until(() => requests.length === 1);
  assert.ok(stores[0].kept.has(id));
  tracker.useKey("other-key");
  assert.equal(stores[0].kept.size, 0);
  await until(drained);
  await until(() => stores[1].kept.size === 0);
  assert.deepEqual([...counted], [[id, "click red"]]);
});

test("a request that is too large for a proxy is sent in smaller ones", async () => {
  for (let i = 0; i < 3; i++) answers.push({ status: 413, refuse: true });
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
