import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";
import { Failed } from "../../src/data/api.js";
import { Poller } from "../../src/data/poller.js";

const now = mock.timers;
// What has been promised is done before the next task.
const settled = () => new Promise(setImmediate);
const MINUTE_MS = 60_000;

let readings;
let seen;

beforeEach(() => {
  now.enable({ apis: ["setTimeout", "Date"] });
  mock.method(Math, "random", () => 0);
  readings = [];
  seen = [];
});

afterEach(() => {
  now.reset();
  mock.restoreAll();
});

/** Every reading is answered, or fails, by hand: `readings[0].resolve("…")`. */
function polling(options = {}) {
  return new Poller({
    read: (signal) =>
      new Promise((resolve, reject) => readings.push({ resolve, reject, signal })),
    take: (answer) => void seen.push(answer),
    failed: (error, wait) => seen.push([error.message, wait]),
    ...options,
  });
}

async function answered(i, answer) {
  readings[i].resolve(answer);
  await settled();
}

async function failed(i, status, headers = {}) {
  readings[i].reject(new Failed({ status, headers: new Headers(headers) }, "No."));
  await settled();
}

test("what was read is read again a minute later", async () => {
  polling().again();
  await answered(0, "first");
  now.tick(MINUTE_MS - 1);
  assert.equal(readings.length, 1);
  now.tick(1);
  await answered(1, "second");
  assert.deepEqual(seen, ["first", "second"]);
});

test("who takes the answer may say when to read again", async () => {
  polling({ take: () => 5 }).again();
  await answered(0);
  now.tick(5);
  assert.equal(readings.length, 2);
});

test("a newer reading overtakes an older one, which is cut short and never shown", async () => {
  const poller = polling();
  poller.again();
  poller.again();
  assert.equal(readings[0].signal.aborted, true);
  await answered(1, "new");
  await answered(0, "old");
  assert.deepEqual(seen, ["new"]);
});

test("a failure is told, with when it is tried again, and never before the server asks for it", async () => {
  polling().again();
  await failed(0, 503, { "retry-after": "7" });
  const [[message, wait]] = seen;
  assert.equal(message, "No.");
  assert.ok(wait >= 7_000);
  now.tick(wait - 1);
  assert.equal(readings.length, 1);
  now.tick(1);
  assert.equal(readings.length, 2);
});

test("failure after failure is tried later and later, but every minute at least", async () => {
  mock.method(Math, "random", () => 1);
  polling().again();
  for (let i = 0; i < 12; i++) {
    await failed(i, 502);
    now.tick(seen[i][1]);
  }
  const waits = seen.map(([, wait]) => wait);
  assert.deepEqual(waits.slice(0, 3), [500, 1_000, 2_000]);
  assert.equal(Math.max(...waits), MINUTE_MS);
});

test("what failed is tried at once when the moment is good, and what didn't is left alone", async () => {
  const poller = polling();
  poller.again();
  poller.hurry();
  assert.equal(readings.length, 1);
  await failed(0, 502);
  poller.hurry();
  assert.equal(readings.length, 2);
  await answered(1, "there");
  poller.hurry();
  assert.equal(readings.length, 2);
});

test("a key that is rejected is not tried again", async () => {
  polling().again();
  await failed(0, 401);
  now.tick(10 * MINUTE_MS);
  assert.equal(readings.length, 1);
});

test("what grew is read again when it has come to rest, and not before", async () => {
  const poller = polling();
  poller.again();
  await answered(0);
  now.tick(20_000);
  for (let i = 0; i < 5; i++) {
    poller.heard(true);
    now.tick(1_999);
  }
  assert.equal(readings.length, 1);
  now.tick(1);
  assert.equal(readings.length, 2);
});

test("what didn't grow is not read again before its minute is over", async () => {
  const poller = polling();
  poller.again();
  await answered(0);
  poller.heard(false);
  now.tick(MINUTE_MS - 1);
  assert.equal(readings.length, 1);
});

test("what has just been read is not read again for a while", async () => {
  const poller = polling();
  poller.again();
  await answered(0);
  now.tick(9_000);
  poller.heard(true);
  now.tick(1_999);
  assert.equal(readings.length, 1);
  now.tick(1);
  assert.equal(readings.length, 2);
});

test("what comes during a reading is read again soon: it may be in the answer or not", async () => {
  const poller = polling();
  poller.again();
  poller.heard(false);
  await answered(0);
  now.tick(2_000);
  assert.equal(readings.length, 2);
});

test("after a stop nothing is read and nothing is shown, also if it is stopped by what is shown", async () => {
  const poller = polling({ take: () => poller.stop() });
  poller.again();
  await answered(0);
  now.tick(10 * MINUTE_MS);
  assert.equal(readings.length, 1);
  poller.again();
  poller.stop();
  assert.equal(readings[1].signal.aborted, true);
  await answered(1);
  now.tick(10 * MINUTE_MS);
  assert.equal(readings.length, 2);
});

test("an error of our own is not taken for the server's", async () => {
  const poller = polling({
    take() {
      throw new TypeError("not a function");
    },
  });
  const reading = poller.again();
  readings[0].resolve();
  await assert.rejects(reading, TypeError);
});
