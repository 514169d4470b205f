import assert from "node:assert/strict";
import { test } from "node:test";
import { Stopwatch } from "../../../../src/pages/playground/ways/stopwatch.js";

test("a click is measured until its own count is shown, not until an earlier one's is", () => {
  const watch = new Stopwatch();
  watch.start("red", 5, 100);
  watch.start("red", 5, 110);
  watch.start("blue", 0, 120);
  assert.equal(watch.arrived(() => 0).length, 0);
  const shown = (counts) => watch.arrived((subject) => counts[subject]);
  watch.stop("websocket", shown({ red: 6, blue: 0 }), 150);
  assert.deepEqual(watch.of("websocket"), { n: 1, last: 50, median: 50 });
  watch.stop("websocket", shown({ red: 7, blue: 1 }), 160);
  assert.deepEqual(watch.of("websocket"), { n: 3, last: 40, median: 50 });
  assert.equal(watch.of("polling"), null);
});

test("a way that was left is not charged with what was under way", () => {
  const watch = new Stopwatch();
  watch.start("red", 1, 0);
  watch.abandon();
  assert.deepEqual(watch.arrived(() => 9), []);
  watch.start("red", null, 0);
  assert.deepEqual(watch.arrived(() => 9), []);
});
