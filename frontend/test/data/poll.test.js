import assert from "node:assert/strict";
import { test } from "node:test";
import { Poll } from "../../src/data/poll.js";

const tick = () => new Promise((done) => setTimeout(done, 0));
async function until(condition) {
  for (let i = 0; i < 1_000 && !condition(); i++) await tick();
  assert.ok(condition());
}

function answer(status, body) {
  return { ok: status === 200, status, headers: new Headers(), json: async () => body };
}

function polling(answers) {
  const seen = { states: [], messages: [], asked: [], refused: [] };
  const poll = new Poll({
    handlers: {
      state: ({ name }) => seen.states.push(name),
      refused: (message) => seen.refused.push(message),
    },
    fetch: async (url, { headers }) => {
      seen.asked.push([url, headers["x-api-key"]]);
      return answers.shift() ?? new Promise(() => {});
    },
  });
  return { poll, seen };
}

const totals = (total, subjects) => answer(200, { total, subjects });

test("asks again and again: the first answer is a snapshot, the others are updates", async () => {
  const { poll, seen } = polling([
    totals(2, [{ subject: "__proto__", total: 2 }]),
    totals(5, [{ subject: "red", total: 5 }]),
  ]);
  poll.every(1);
  poll.subscribe({ totals: "a b" }, (message) => seen.messages.push(message));
  poll.start("k");
  await until(() => seen.messages.length === 2);
  poll.stop();
  assert.deepEqual(seen.asked[0], ["/v1/stats?type=a+b&top=1000", "k"]);
  const [first, second] = seen.messages;
  assert.deepEqual([first.type, Object.keys(first.totals), first.total], ["snapshot", ["__proto__"], 2]);
  assert.deepEqual(second, { type: "update", totals: { red: 5 }, total: 5 });
  assert.deepEqual(seen.states.slice(0, 3), ["connecting", "polling", "polling"]);
});

test("a server that is away or without its database is asked later, and says so", async (t) => {
  t.mock.method(Math, "random", () => 0);
  const { poll, seen } = polling([answer(503, {}), answer(502, null), totals(0, [])]);
  poll.subscribe({ totals: "click" }, (message) => seen.messages.push(message));
  poll.start("k");
  await until(() => seen.messages.length === 1);
  poll.stop();
  assert.deepEqual(seen.states, ["connecting", "stale", "reconnecting", "polling"]);
});

test("a refused key ends it", async () => {
  const { poll, seen } = polling([answer(401, { error: { message: "No such key." } })]);
  poll.subscribe({ totals: "click" }, () => assert.fail());
  poll.start("k");
  await until(() => seen.refused.length === 1);
  assert.deepEqual(seen.refused, ["No such key."]);
  assert.deepEqual(seen.states, ["connecting", "refused"]);
  poll.hurry();
  poll.every(1);
  await tick();
  assert.equal(seen.asked.length, 1);
});

test("what ended while it was asked for is not told", async () => {
  let resolve;
  const promise = new Promise((done) => (resolve = done));
  const { poll, seen } = polling([totals(1, []), promise]);
  const end = poll.subscribe({ totals: "click" }, () => assert.fail());
  poll.subscribe({ totals: "hover" }, (message) => seen.messages.push(message));
  poll.start("k");
  await until(() => seen.asked.length === 2);
  end();
  resolve(totals(1, []));
  await until(() => seen.messages.length === 1);
  poll.stop();
});
