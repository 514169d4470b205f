import assert from "node:assert/strict";
import { test } from "node:test";
import { linear } from "../../src/charts/linear.js";

test("a domain's ends are at a range's, also of one that runs upwards, and back", () => {
  const y = linear([0, 50], [80, 10]);
  assert.deepEqual([y(0), y(25), y(50)], [80, 45, 10]);
  assert.deepEqual([y.invert(80), y.invert(45)], [0, 25]);
});

test("what has no length is drawn in the middle", () => {
  assert.equal(linear([7, 7], [0, 100])(7), 50);
});
