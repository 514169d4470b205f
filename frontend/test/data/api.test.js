import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { Failed } from "../../src/data/api.js";
import { Clock } from "../../src/data/clock.js";
import { serveApi } from "../support/api.js";

let served;
afterEach(() => served.close());

test("a query has its key and what is given, and nothing of what isn't", async () => {
  served = await serveApi(() => ({ types: [] }));
  assert.deepEqual(await served.api.get("types", { limit: 5, after: undefined }), { types: [] });
  assert.deepEqual(served.requests, [{ path: "/v1/types", query: { limit: "5" }, key: "read-key" }]);
});

test("what was wrong is said in the server's words, and whether it is the key or the query", async () => {
  const rejected = [];
  served = await serveApi(() => ({}), { rejected: (message) => rejected.push(message) });
  const wrong = { error: { message: "The type is too long." } };
  served.answers.push({ status: 422, body: wrong }, { status: 403, body: { error: { message: "No." } } });
  const [query, key] = [await failure(), await failure()];
  assert.deepEqual([query.message, query.final, query.rejectsKey], ["The type is too long.", true, false]);
  assert.deepEqual([key.message, key.final, key.rejectsKey], ["No.", false, true]);
  assert.deepEqual(rejected, ["No."]);
});

test("what answers in the server's place is a server that can't be reached", async () => {
  served = await serveApi(() => ({}));
  served.answers.push({ body: "<h1>Log in</h1>" }, { body: { ok: true } });
  for (const parameters of [{ type: "click" }, { type: "click", bucket: "minute" }]) {
    const { message, final } = await failure(parameters);
    assert.deepEqual([message, final], ["The server can't be reached.", false]);
  }
});

test("the server's time is learned from its answers", async () => {
  const clock = new Clock();
  served = await serveApi(() => ({ subjects: [] }), { clock });
  const date = new Date(Date.now() + 3 * 3_600_000).toUTCString();
  served.answers.push({ headers: { date } });
  await served.api.stats({ type: "click" });
  assert.ok(Math.abs(clock.now() - Date.parse(date)) < 2_000);
});

async function failure(parameters = { type: "click" }) {
  const error = await served.api.stats(parameters).catch((error) => error);
  assert.ok(error instanceof Failed);
  return error;
}
