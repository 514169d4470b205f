import assert from "node:assert/strict";
import { test } from "node:test";
import { Optimistic } from "../../src/data/optimistic.js";
import { Totals } from "../../src/data/totals.js";

function counted(counts, total) {
  const totals = new Totals();
  totals.snapshot(counts, total);
  return { totals, shown: new Optimistic(totals) };
}

test("what was just counted is shown at once, in the count, the total and the ranking", () => {
  const { shown } = counted({ red: 2, blue: 2 }, 4);
  shown.takeChanged();
  shown.expect("red");
  shown.expect("red");
  shown.expect("new");
  assert.deepEqual([shown.count("red"), shown.count("new"), shown.total], [4, 1, 7]);
  assert.deepEqual(shown.top(2), [["red", 4], ["blue", 2]]);
  assert.deepEqual([...shown.takeChanged()].sort(), ["new", "red"]);
  assert.ok(shown.has("new"));
});

test("a number steps neither back with an older frame nor twice with a newer one", () => {
  const { totals, shown } = counted({ red: 2 }, 2);
  shown.expect("red");
  totals.update({ red: 2 }, 2);
  assert.equal(shown.count("red"), 3);
  totals.update({ red: 3 }, 3);
  assert.equal(shown.count("red"), 3);
  totals.update({ red: 4 }, 4);
  assert.deepEqual([shown.count("red"), shown.total], [4, 4]);
});

test("what has come true is no promise any more: a server that was restored is believed", () => {
  const { totals, shown } = counted({ red: 2 }, 2);
  shown.expect("red");
  totals.update({ red: 3 }, 3);
  shown.takeChanged();
  totals.snapshot({ red: 1 }, 1);
  assert.deepEqual([shown.count("red"), shown.total], [1, 1]);
});

test("when a promise is withdrawn, the server's number is the truth again", () => {
  const { shown } = counted({ red: 2 }, 2);
  shown.expect("red");
  shown.takeChanged();
  shown.withdraw();
  assert.deepEqual([shown.count("red"), shown.total], [2, 2]);
  assert.deepEqual([...shown.takeChanged()], ["red"]);
});

test("of a count that isn't known nothing is promised", () => {
  const shown = new Optimistic(new Totals());
  shown.expect("red");
  assert.deepEqual([shown.count("red"), shown.total], [null, null]);
});
