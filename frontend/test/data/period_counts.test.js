import assert from "node:assert/strict";
import { test } from "node:test";
import { PeriodCounts } from "../../src/data/period_counts.js";

const snapshot = (totals, total) => ({ type: "snapshot", totals, total });
const update = (totals, total) => ({ type: "update", totals, total });
const shown = (counts) => counts.rows(9).map(({ subject, total }) => [subject, total]);
// Read when live totals were {red: 100, blue: 50}, and 150 in all.
const READ = {
  total: 5,
  before: 4,
  ever: 150,
  subjects: [
    { subject: "red", total: 3, before: 4, ever: 100 },
    { subject: "blue", total: 2, before: 0, ever: 50 },
  ],
};

test("what comes after the reading is added to it, and the order follows", () => {
  const counts = new PeriodCounts();
  assert.equal(counts.receive(snapshot({ red: 100, blue: 50 }, 150)), false);
  assert.equal(counts.total, null);
  counts.beginReading();
  counts.load(READ, true);
  assert.deepEqual(shown(counts), [["red", 3], ["blue", 2]]);
  assert.equal(counts.receive(update({ blue: 53, __proto__: null, new: 1 }, 154)), true);
  assert.deepEqual([counts.total, counts.before], [9, 4]);
  assert.deepEqual(shown(counts), [["blue", 5], ["red", 3], ["new", 1]]);
  assert.equal(counts.rows(1)[0].before, 0);
});

test("a frame that comes twice, or late, adds nothing", () => {
  const counts = new PeriodCounts();
  counts.receive(snapshot({ red: 100, blue: 50 }, 150));
  counts.beginReading();
  counts.load(READ, true);
  counts.receive(update({ red: 101 }, 151));
  assert.equal(counts.receive(update({ red: 101 }, 151)), false);
  assert.deepEqual([counts.total, shown(counts)[0]], [6, ["red", 4]]);
});

test("whatever is on its way while it is read counts once", () => {
  const counts = new PeriodCounts();
  counts.receive(snapshot({ red: 98, blue: 50 }, 148));
  counts.beginReading();
  counts.load(READ, true);
  assert.deepEqual([counts.total, shown(counts)], [5, [["red", 3], ["blue", 2]]]);
  assert.equal(counts.receive(update({ red: 100 }, 150)), false);
  assert.equal(counts.receive(update({ red: 101 }, 151)), true);
  assert.deepEqual([counts.total, shown(counts)[0]], [6, ["red", 4]]);
  counts.load(READ, true); // An answer that took longer than the frame.
  assert.deepEqual([counts.total, shown(counts)[0]], [6, ["red", 4]]);
});

test("what is new while it is read counts once, whether the answer has it or not", () => {
  for (const [subjects, total] of [[[], 0], [[{ subject: "new", total: 1, ever: 1 }], 1]]) {
    const counts = new PeriodCounts();
    counts.receive(snapshot({ red: 100 }, 100));
    counts.beginReading();
    counts.receive(update({ new: 1 }, 101));
    counts.load({ total, ever: 100 + total, subjects }, true, 9);
    assert.deepEqual([counts.total, shown(counts)], [1, [["new", 1]]]);
  }
});

test("a new reading replaces what had grown", () => {
  const counts = new PeriodCounts();
  counts.receive(snapshot({ red: 100, blue: 50 }, 150));
  counts.beginReading();
  counts.load(READ, true);
  counts.receive(update({ red: 101 }, 151));
  counts.beginReading();
  counts.load({ ...READ, total: 6, ever: 151, subjects: [{ subject: "red", total: 4, ever: 101 }] }, true);
  assert.deepEqual([counts.total, shown(counts)], [6, [["red", 4]]]);
});

test("another period begins with nothing, and grows by what comes after its reading", () => {
  const counts = new PeriodCounts();
  counts.receive(snapshot({ red: 98, blue: 50 }, 148));
  counts.beginReading();
  counts.load(READ, true);
  counts.forget();
  assert.deepEqual([counts.total, shown(counts)], [null, []]);
  assert.equal(counts.receive(update({ red: 101 }, 151)), false);
  counts.beginReading();
  counts.load(READ, true);
  counts.receive(update({ red: 103 }, 153));
  assert.deepEqual([counts.total, shown(counts)[0]], [8, ["red", 6]]);
});

test("what was ever counted grows too", () => {
  const counts = new PeriodCounts();
  counts.receive(snapshot({ red: 5 }, 5));
  counts.beginReading();
  counts.load({ total: 6, subjects: [{ subject: "red", total: 6 }] }, true);
  counts.receive(update({ red: 7 }, 7));
  assert.deepEqual([counts.total, shown(counts)], [7, [["red", 7]]]);
});

test("a period that is over doesn't grow", () => {
  const counts = new PeriodCounts();
  counts.receive(snapshot({ red: 100, blue: 50 }, 150));
  counts.beginReading();
  counts.load(READ, false);
  assert.equal(counts.receive(update({ red: 101, new: 1 }, 152)), false);
  assert.deepEqual([counts.total, shown(counts)], [5, [["red", 3], ["blue", 2]]]);
  assert.equal(counts.count("red"), 3);
});

test("of a subject that was neither read nor among the live ones no growth is known", () => {
  const counts = new PeriodCounts();
  counts.receive(snapshot({ red: 100 }, 1_000));
  counts.beginReading();
  counts.load({ ...READ, ever: 1_000 }, true, 2);
  counts.receive(update({ blue: 51, green: 700 }, 1_001));
  assert.deepEqual([counts.total, shown(counts)], [6, [["blue", 3], ["red", 3]]]);
});

test("one subject's count is known if it was read, or all were", () => {
  const counts = new PeriodCounts();
  counts.receive(snapshot({ red: 100, blue: 50 }, 150));
  assert.equal(counts.count("red"), undefined);
  counts.beginReading();
  counts.load(READ, true, 2);
  assert.deepEqual([counts.count("red"), counts.count("new")], [3, undefined]);
  counts.beginReading();
  counts.load(READ, true, 3);
  assert.equal(counts.count("new"), 0);
  counts.receive(update({ red: 102, new: 1 }, 153));
  assert.deepEqual(["red", "blue", "new"].map((name) => counts.count(name)), [5, 2, 1]);
});
