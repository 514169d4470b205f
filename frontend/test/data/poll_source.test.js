import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { PollSource } from "../../src/data/poll_source.js";
import { serveApi } from "../support/api.js";

let served;
let poll;
let seen;

beforeEach(async () => {
  seen = { states: [], messages: [] };
  served = await serveApi(() => ({ total: 0, subjects: [] }), {
    rejected: (message) => seen.onrejected(message),
  });
  const state = ({ name }) => {
    seen.states.push(name);
    seen.onstate?.();
  };
  poll = new PollSource({ api: served.api, handlers: { state } });
});

afterEach(() => {
  poll.stop();
  served.close();
});

/** Resolves when this state has been told so many times. */
const told = (name, n = 1) =>
  new Promise((done) => {
    seen.onstate = () => seen.states.filter((each) => each === name).length >= n && done();
    seen.onstate();
  });

const watch = (type) => poll.subscribe({ totals: type }, (message) => seen.messages.push(message));

test("asks again and again: the first answer is a snapshot, the others are updates", async () => {
  served.answers.push(
    { body: { total: 2, subjects: [{ subject: "__proto__", total: 2 }] } },
    { body: { total: 5, subjects: [{ subject: "red", total: 5 }] } },
  );
  poll.every(1);
  watch("a b");
  poll.start();
  await told("polling", 2);
  const { path, query, key } = served.requests[0];
  assert.deepEqual([path, query, key], ["/v1/stats", { type: "a b", top: "1000" }, "read-key"]);
  const [first, second] = seen.messages;
  assert.deepEqual([first.type, Object.keys(first.totals), first.total], ["snapshot", ["__proto__"], 2]);
  assert.deepEqual(second, { type: "update", totals: { red: 5 }, total: 5 });
  assert.deepEqual(seen.states.slice(0, 3), ["connecting", "polling", "polling"]);
});

test("a server that is away or without its database is asked later, and says so", async (t) => {
  t.mock.method(Math, "random", () => 0);
  served.answers.push({ status: 503, body: {} }, { status: 502, body: "<h1>Bad gateway</h1>" });
  watch("click");
  poll.start();
  await told("polling");
  assert.equal(seen.messages.length, 1);
  assert.deepEqual(seen.states, ["connecting", "stale", "reconnecting", "polling"]);
});

test("a rejected key ends it", async () => {
  served.answers.push({ status: 401, body: { error: { message: "No such key." } } });
  watch("click");
  const rejected = new Promise((done) => (seen.onrejected = done));
  poll.start();
  assert.equal(await rejected, "No such key.");
  poll.hurry();
  assert.equal(served.requests.length, 1);
  assert.deepEqual(seen.states, ["connecting"]);
});

test("what ended while it was asked for is not told", async () => {
  let answer;
  served.answers.push({ when: new Promise((done) => (answer = done)) });
  const end = poll.subscribe({ totals: "click" }, () => assert.fail());
  watch("hover");
  poll.start();
  await served.asked(2);
  end();
  answer();
  await told("polling");
  assert.equal(seen.messages.length, 1);
});
