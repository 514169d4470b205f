import assert from "node:assert/strict";
import { test } from "node:test";
import { TrendPoints } from "../../src/data/trend_points.js";

const MINUTE = 60_000;
const START = Date.parse("2026-11-21T10:00:00Z");
const READ = {
  bucket: "minute",
  series: [
    { at: "2026-11-21T10:00:00Z", total: 3 },
    { at: "2026-11-21T10:01:00Z", total: 5 },
  ],
};
const totals = (points) => points.all.map(({ at, total }) => [(at - START) / MINUTE, total]);

function loaded(ongoing) {
  const points = new TrendPoints();
  points.restart(100);
  points.load(READ, ongoing);
  return points;
}

test("growth goes to the minute of its time, and minutes in which nothing came are there", () => {
  const points = loaded(true);
  assert.equal(points.grow(102, START + 1.5 * MINUTE), true);
  assert.deepEqual(totals(points), [[0, 3], [1, 7]]);
  assert.equal(points.grow(103, START + 3 * MINUTE), true);
  assert.deepEqual(totals(points), [[0, 3], [1, 7], [2, 0], [3, 1]]);
});

test("a frame that comes twice or late adds nothing, nor does what came while it was cut off", () => {
  const points = loaded(true);
  points.grow(102, START + MINUTE);
  assert.equal(points.grow(102, START + MINUTE), false);
  points.restart(150);
  assert.equal(points.grow(150, START + MINUTE), false);
  assert.deepEqual(totals(points), [[0, 3], [1, 7]]);
});

test("a time that is over does not grow, nor one that is not read yet", () => {
  assert.equal(loaded(false).grow(101, START + MINUTE), false);
  const points = loaded(true);
  points.forget();
  assert.equal(points.grow(101, START + MINUTE), false);
  points.load(READ, true);
  assert.equal(points.grow(102, START + MINUTE), true);
  assert.deepEqual(totals(points), [[0, 3], [1, 6]]);
});

test("what is before a time is behind what is after it, as much of it and no more", () => {
  const points = loaded(false);
  const [first, second] = points.all;
  assert.deepEqual(points.since(START + MINUTE), { points: [second], before: [first] });
  assert.deepEqual(points.since(START), { points: [first, second], before: [] });
  assert.deepEqual(points.since(null), { points: [first, second], before: [] });
});
