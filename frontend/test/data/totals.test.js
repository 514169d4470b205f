import assert from "node:assert/strict";
import { test } from "node:test";
import { Totals } from "../../src/data/totals.js";

const shown = (totals) => Object.fromEntries(totals.top(Infinity));

test("nothing is known before the first snapshot, not even a zero", () => {
  const totals = new Totals();
  assert.equal(totals.total, null);
  assert.equal(totals.count("red"), null);
});

test("doubled and late frames change nothing that the newest doesn't say", () => {
  const totals = new Totals();
  totals.snapshot({ red: 5, blue: 2 }, 7);
  totals.update({ red: 6 }, 8);
  totals.update({ red: 6 }, 8);
  assert.deepEqual(shown(totals), { red: 6, blue: 2 });
  assert.equal(totals.total, 8);
  assert.equal(totals.count("green"), 0);
});

test("whatever was missed between, a snapshot makes the state the server's", () => {
  const totals = new Totals();
  totals.snapshot({ red: 5, blue: 2 }, 7);
  totals.takeChanged();
  totals.snapshot({ blue: 1, green: 9 }, 10);
  assert.deepEqual(shown(totals), { green: 9, blue: 1 });
  assert.deepEqual([...totals.takeChanged()].sort(), ["blue", "green", "red"]);
  assert.equal(totals.count("red"), 0);
  assert.equal(totals.others, 0);
});

test("a snapshot that leaves subjects out is not taken for zeros", () => {
  const totals = new Totals();
  totals.snapshot({ red: 5 }, 100);
  assert.equal(totals.others, 95);
  assert.equal(totals.count("blue"), null);
  totals.update({ blue: 40 }, 101);
  assert.equal(totals.count("blue"), 40);
  assert.equal(totals.others, 56);
});

test("subjects called like an object's own parts are subjects", () => {
  const totals = new Totals();
  totals.snapshot(JSON.parse('{"__proto__":3,"constructor":2,"toString":1}'), 6);
  assert.equal(totals.count("__proto__"), 3);
  assert.equal(totals.count("constructor"), 2);
  assert.equal(totals.count("hasOwnProperty"), 0);
});

test("equal counts keep their places whichever came first", () => {
  const one = new Totals();
  one.snapshot({ b: 1, a: 1, c: 2 }, 4);
  const other = new Totals();
  other.snapshot({ a: 1, c: 2, b: 1 }, 4);
  assert.deepEqual(one.top(3), other.top(3));
  assert.deepEqual(one.top(2).map(([subject]) => subject), ["c", "a"]);
});

test("a stream of ever new subjects stays bounded, and no count is lost or made up", () => {
  const totals = new Totals({ limit: 100 });
  totals.snapshot({ big: 1_000 }, 1_000);
  for (let i = 1; i <= 5_000; i++) totals.update({ [`/page/${i}`]: 1 }, 1_000 + i);
  assert.ok(totals.top(Infinity).length <= 100);
  assert.equal(totals.count("big"), 1_000);
  assert.equal(totals.total, 6_000);
  const known = totals.top(Infinity).reduce((sum, [, count]) => sum + count, 0);
  assert.equal(totals.others, 6_000 - known);
  assert.notEqual(totals.count("/page/1"), 0);
});

test("what changed is said once", () => {
  const totals = new Totals();
  totals.snapshot({ red: 1 }, 1);
  totals.takeChanged();
  totals.update({ red: 2, blue: 1 }, 3);
  assert.deepEqual([...totals.takeChanged()], ["red", "blue"]);
  assert.equal(totals.takeChanged().size, 0);
});
