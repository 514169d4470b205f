import assert from "node:assert/strict";
import { test } from "node:test";
import { backoff, reconnectAfter, retryAfter, waitBeforeRetry } from "../../src/sdk/base/backoff.js";

const answer = (headers) => ({ headers: new Headers(headers) });

test("viewers that were cut together come back spread over the whole window", () => {
  const waits = Array.from({ length: 2_000 }, () => backoff(4));
  const inQuarter = (n) => waits.filter((wait) => Math.floor(wait / 2_000) === n).length;
  for (const quarter of [0, 1, 2, 3]) assert.ok(inQuarter(quarter) > 300, `quarter ${quarter}`);
});

test("waits grow with the attempts, are never nothing and never above the cap", () => {
  const longest = (attempt) => backoff(attempt, { random: () => 1 });
  assert.deepEqual([0, 1, 2, 3].map(longest), [500, 1_000, 2_000, 4_000]);
  assert.equal(longest(10_000), 15_000);
  assert.ok(backoff(0, { random: () => 0 }) > 0);
});

test("Retry-After is understood as seconds and as a date, and nonsense is no wish", () => {
  const now = Date.parse("2026-11-21T10:00:00Z");
  assert.equal(retryAfter("3", now), 3_000);
  assert.equal(retryAfter("Sat, 21 Nov 2026 10:00:05 GMT", now), 5_000);
  assert.equal(retryAfter("Sat, 21 Nov 2026 09:00:00 GMT", now), 0);
  assert.equal(retryAfter("soon", now), null);
  assert.equal(retryAfter(null, now), null);
});

test("a restarting server's wish is read from its close reason, and nonsense is none", () => {
  assert.equal(reconnectAfter('{"reconnect_after_ms":850}'), 850);
  for (const reason of ["", "The server restarts.", "null", '{"reconnect_after_ms":"9"}', "{}"]) {
    assert.equal(reconnectAfter(reason), 0, reason);
  }
  assert.equal(reconnectAfter('{"reconnect_after_ms":-5}'), 0);
});

test("a retry never comes before the time that the server asked for", () => {
  for (let i = 0; i < 200; i++) {
    assert.ok(waitBeforeRetry(0, answer({ "retry-after": "2" })) > 2_000);
  }
  assert.ok(waitBeforeRetry(0, answer({})) <= 500);
  assert.ok(waitBeforeRetry(0, null) <= 500);
});
