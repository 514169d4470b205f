import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { afterEach, beforeEach, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Clock } from "../../src/data/clock.js";
import { MINUTE_MS, MinuteSeries, minuteOf } from "../../src/data/minute_series.js";
import { StatsReader } from "../../src/data/minute_reader.js";

// A real HTTP server; `counts` is what it holds for the minute under way.
let server;
let requests;
let counts;
let answers;
let reader;

beforeEach(async () => {
  requests = [];
  answers = [];
  counts = 5;
  server = createServer(serve).listen(0, "127.0.0.1");
  await once(server, "listening");
});

afterEach(() => {
  reader.useKey(null);
  server.closeAllConnections();
  server.close();
});

async function serve(request, response) {
  const url = new URL(request.url, "http://localhost");
  requests.push({ query: Object.fromEntries(url.searchParams), key: request.headers["x-api-key"] });
  const answer = answers.shift() ?? {};
  const held = counts;
  await sleep(answer.after ?? 0);
  const last = Date.parse(url.searchParams.get("to")) - MINUTE_MS;
  const body = answer.body ?? { series: [{ at: new Date(last).toISOString(), total: held }] };
  response.writeHead(answer.status ?? 200, { "content-type": "application/json", ...answer.headers });
  response.end(JSON.stringify(body));
}

function readFrom(options = {}) {
  const { port } = server.address();
  const series = new MinuteSeries();
  const clock = new Clock();
  reader = new StatsReader({
    type: "click",
    series,
    clock,
    fetch: (path, init) => fetch(`http://127.0.0.1:${port}${path}`, init),
    random: () => 0,
    ...options,
  });
  reader.useKey("read-key");
  return { series, clock, current: () => series.points(clock.now()).at(-1).total };
}

async function until(condition) {
  for (let i = 0; i < 2_000 && !condition(); i++) await sleep(5);
  assert.ok(condition(), `never came true: ${condition}`);
}

test("it asks for the last hour by minutes, up to the end of the one under way", async () => {
  const { series, current } = readFrom();
  await reader.read();
  const { key, query } = requests[0];
  assert.equal(key, "read-key");
  assert.equal(query.type, "click");
  assert.equal(query.bucket, "minute");
  assert.equal(Date.parse(query.to) - Date.parse(query.from), 60 * MINUTE_MS);
  assert.ok(Date.parse(query.to) > Date.now());
  assert.equal(series.loaded, true);
  assert.equal(current(), 5);
});

test("when a reading overtakes another, the newer one is what stays", async () => {
  const { current } = readFrom();
  answers.push({ after: 80 });
  const slow = reader.read();
  await until(() => requests.length === 1);
  counts = 9;
  await reader.read();
  await slow;
  assert.equal(current(), 9);
});

test("a server that can't answer is asked again, no earlier than it said, and the line stays", async () => {
  const { series, current } = readFrom();
  await reader.read();
  answers.push({ status: 503, headers: { "retry-after": "1" }, body: {} });
  counts = 8;
  const asked = Date.now();
  await reader.read();
  assert.equal(current(), 5);
  await until(() => requests.length === 3);
  assert.ok(Date.now() - asked >= 1_000);
  await until(() => current() === 8);
  assert.equal(series.loaded, true);
});

test("live totals move the line at once, and a reading settles it when they have come to rest", async () => {
  const { series, clock, current } = readFrom({
    times: { quiet: { least: 40, most: 40 }, betweenSettling: 0 },
  });
  series.restart(100);
  await reader.read();
  counts = 7;
  for (const total of [101, 102, 103]) {
    series.grow(total, clock.now());
    reader.grew();
    await sleep(10);
  }
  assert.equal(current(), 8, "one of the three was in the reading already");
  await until(() => current() === 7);
  await sleep(100);
  assert.equal(requests.length, 2, "it is not read again while nothing moves");
});

test("a refused key is told about once and not tried again", async () => {
  const refusals = [];
  readFrom({ refused: (message) => refusals.push(message) });
  answers.push({ status: 403, body: { error: { code: "forbidden", message: "No read key." } } });
  await reader.read();
  await sleep(100);
  assert.deepEqual(refusals, ["No read key."]);
  assert.equal(requests.length, 1);
});

test("a laptop whose clock is wrong asks for the server's hour from the second reading on", async () => {
  const { clock } = readFrom();
  const served = new Date(Date.now() + 3 * 60 * MINUTE_MS);
  const headers = { date: served.toUTCString() };
  answers.push({ headers }, { headers });
  await reader.read();
  assert.ok(Math.abs(clock.now() - served) < 2_000);
  await until(() => requests.length === 2);
  assert.equal(Date.parse(requests[1].query.to), minuteOf(clock.now()) + MINUTE_MS);
});
