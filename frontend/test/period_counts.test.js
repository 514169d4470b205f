import assert from "node:assert/strict";
import { test } from "node:test";
import { PeriodCounts } from "../src/period_counts.js";

const snapshot = (totals, total) => ({ type: "snapshot", totals, total });
const update = (totals, total) => ({ type: "update", totals, total });
const shown = (counts) => counts.rows(9).map(({ subject, total }) => [subject, total]);
const READ = {
  total: 5,
  before: 4,
  subjects: [{ subject: "red", total: 3, before: 4 }, { subject: "blue", total: 2, before: 0 }],
};

test("what comes after the reading is added to it, and the order follows", () => {
  const counts = new PeriodCounts();
  assert.equal(counts.take(snapshot({ red: 100, blue: 50 }, 150)), false);
  assert.equal(counts.total, null);
  counts.load(READ, true);
  assert.deepEqual(shown(counts), [["red", 3], ["blue", 2]]);
  assert.equal(counts.take(update({ blue: 53, __proto__: null, new: 1 }, 154)), true);
  assert.deepEqual([counts.total, counts.before], [9, 4]);
  assert.deepEqual(shown(counts), [["blue", 5], ["red", 3], ["new", 1]]);
  assert.equal(counts.rows(1)[0].before, 0);
});

test("a frame that comes twice, or late, adds nothing", () => {
  const counts = new PeriodCounts();
  counts.take(snapshot({ red: 100 }, 100));
  counts.load(READ, true);
  counts.take(update({ red: 101 }, 101));
  assert.equal(counts.take(update({ red: 101 }, 101)), false);
  assert.deepEqual([counts.total, shown(counts)[0]], [6, ["red", 4]]);
});

test("a new reading replaces what had grown", () => {
  const counts = new PeriodCounts();
  counts.take(snapshot({ red: 100 }, 100));
  counts.load(READ, true);
  counts.take(update({ red: 101 }, 101));
  counts.load({ ...READ, total: 6, subjects: [{ subject: "red", total: 4 }] }, true);
  assert.deepEqual([counts.total, shown(counts)], [6, [["red", 4]]]);
});

test("another period begins with nothing, and grows by what comes after its reading", () => {
  const counts = new PeriodCounts();
  counts.take(snapshot({ red: 100 }, 100));
  counts.load(READ, true);
  counts.forget();
  assert.deepEqual([counts.total, shown(counts)], [null, []]);
  counts.take(update({ red: 101 }, 101));
  counts.load(READ, true);
  counts.take(update({ red: 103 }, 103));
  assert.deepEqual([counts.total, shown(counts)[0]], [7, ["red", 5]]);
});

test("a period that is over doesn't grow", () => {
  const counts = new PeriodCounts();
  counts.take(snapshot({ red: 100 }, 100));
  counts.load(READ, false);
  assert.equal(counts.take(update({ red: 101, new: 1 }, 102)), false);
  assert.deepEqual([counts.total, shown(counts)], [5, [["red", 3], ["blue", 2]]]);
});

test("of a subject that was not among the live ones no growth is known", () => {
  const counts = new PeriodCounts();
  counts.take(snapshot({ red: 100 }, 1_000));
  counts.load(READ, true);
  counts.take(update({ blue: 700 }, 1_001));
  assert.deepEqual([counts.total, shown(counts)], [6, [["red", 3], ["blue", 2]]]);
});
