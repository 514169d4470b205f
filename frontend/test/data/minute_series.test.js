import assert from "node:assert/strict";
import { test } from "node:test";
import { MinuteSeries } from "../../src/data/minute_series.js";
import { MINUTE_MS } from "../../src/lib/time.js";

const NOON = Date.parse("2026-11-21T12:00:00Z");
const seconds = (n) => NOON + n * 1_000;
const at = (time, total) => ({ at: new Date(time).toISOString(), total });
const totalsOf = (series, now) => series.points(now).map(({ total }) => total);

test("the window is the last minutes, the one under way included", () => {
  const { from, to } = new MinuteSeries().window(seconds(30));
  assert.equal(new Date(from).toISOString(), "2026-11-21T11:01:00.000Z");
  assert.equal(new Date(to).toISOString(), "2026-11-21T12:01:00.000Z");
});

test("there is a point for every minute, where nothing happened too, the newest last", () => {
  const series = new MinuteSeries({ length: 4 });
  series.load([at(NOON - 2 * MINUTE_MS, 7)]);
  assert.deepEqual(totalsOf(series, seconds(10)), [0, 7, 0, 0]);
  assert.deepEqual(totalsOf(series, seconds(70)), [7, 0, 0, 0]);
});

test("the live total's growth goes to the minute in which it is seen", () => {
  const series = new MinuteSeries({ length: 2 });
  series.load([at(NOON, 3)]);
  series.restart(100);
  series.grow(102, seconds(20));
  series.grow(103, seconds(59));
  series.grow(110, seconds(61));
  assert.deepEqual(totalsOf(series, seconds(61)), [6, 7]);
});

test("what was counted during a cut is not put into the minute of the return", () => {
  const series = new MinuteSeries({ length: 2 });
  series.restart(100);
  series.grow(101, seconds(1));
  series.restart(5_000);
  series.grow(5_002, seconds(2));
  assert.deepEqual(totalsOf(series, seconds(2)), [0, 3]);
});

test("a repeated frame, or one from before, adds nothing", () => {
  const series = new MinuteSeries({ length: 1 });
  series.restart(10);
  series.grow(12, seconds(1));
  series.grow(12, seconds(2));
  assert.deepEqual(totalsOf(series, seconds(2)), [2]);
});

test("a reading replaces every guess, above or below", () => {
  const series = new MinuteSeries({ length: 3 });
  series.restart(0);
  series.grow(50, seconds(1));
  series.load([at(NOON - MINUTE_MS, 20), at(NOON, 30)]);
  assert.deepEqual(totalsOf(series, seconds(2)), [0, 20, 30]);
});

test("a page that is open for days keeps no more minutes than it shows", () => {
  const series = new MinuteSeries({ length: 3 });
  series.restart(0);
  for (let minute = 1; minute <= 10_000; minute++) series.grow(minute, NOON + minute * MINUTE_MS);
  const now = NOON + 10_000 * MINUTE_MS;
  assert.deepEqual(totalsOf(series, now), [1, 1, 1]);
  assert.equal(series.points(now - 5 * MINUTE_MS)[0].total, 0);
});
