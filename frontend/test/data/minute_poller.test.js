import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { Clock } from "../../src/data/clock.js";
import { minutePoller } from "../../src/data/minute_poller.js";
import { MinuteSeries } from "../../src/data/minute_series.js";
import { MINUTE_MS, minuteOf } from "../../src/lib/time.js";
import { serveApi } from "../support/api.js";

let served;
let poller;

afterEach(() => {
  poller.stop();
  served.close();
});

/** Reads from a server that has counted `held.count` events in the last minute that is asked for. */
async function reading() {
  const held = { count: 5 };
  const clock = new Clock();
  const series = new MinuteSeries();
  const last = ({ to }) => new Date(Date.parse(to) - MINUTE_MS).toISOString();
  served = await serveApi((query) => ({ series: [{ at: last(query), total: held.count }] }), { clock });
  poller = minutePoller({ api: served.api, clock, type: "click", series, changed: () => held.onchange?.() });
  return { held, clock, series, current: () => series.points(clock.now()).at(-1).total };
}

test("it asks for the last hour by minutes, up to the end of the one under way", async () => {
  const { series, current } = await reading();
  await poller.again();
  const [{ query }] = served.requests;
  assert.deepEqual([query.type, query.bucket], ["click", "minute"]);
  assert.equal(Date.parse(query.to) - Date.parse(query.from), 60 * MINUTE_MS);
  assert.ok(Date.parse(query.to) > Date.now());
  assert.equal(series.loaded, true);
  assert.equal(current(), 5);
});

test("what could not be read leaves the line as it was", async () => {
  const { held, series, current } = await reading();
  await poller.again();
  served.answers.push({ status: 503, body: {} });
  held.count = 8;
  await poller.again();
  assert.equal(current(), 5);
  assert.equal(series.loaded, true);
});

test("a reading replaces what live totals had put in the wrong minute", async () => {
  const { held, series, clock, current } = await reading();
  series.restart(100);
  await poller.again();
  for (const total of [101, 102, 103]) series.grow(total, clock.now());
  assert.equal(current(), 8, "one of the three was in the reading already");
  held.count = 7;
  await poller.again();
  assert.equal(current(), 7);
});

test("a laptop whose clock is wrong asks for the server's hour from the second reading on", async () => {
  const { held, clock } = await reading();
  const there = Date.now() + 3 * 60 * MINUTE_MS;
  const headers = { date: new Date(there).toUTCString() };
  served.answers.push({ headers }, { headers });
  const second = new Promise((done) => {
    held.onchange = () => served.requests.length === 2 && done();
  });
  poller.again();
  await second;
  assert.ok(Math.abs(clock.now() - there) < 2_000);
  assert.equal(Date.parse(served.requests[1].query.to), minuteOf(clock.now()) + MINUTE_MS);
});
