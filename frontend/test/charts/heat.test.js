import assert from "node:assert/strict";
import { test } from "node:test";

import { colorOfHeat, heatOf } from "../../src/charts/heat.js";

const at = (heat, column, row, columns = 9) => heat[row * columns + column];

test("heat is where it was counted, falls off on every side alike, and ends", () => {
  const heat = heatOf({ columns: 9, rows: 11, cells: [[5 * 9 + 4, 7]] });
  assert.equal(at(heat, 4, 5), 1);
  const [left, right, above, below] = [at(heat, 3, 5), at(heat, 5, 5), at(heat, 4, 4), at(heat, 4, 6)];
  assert.ok(left > 0 && left < 1);
  for (const beside of [right, above, below]) assert.ok(Math.abs(beside - left) < 1e-6);
  assert.ok(at(heat, 2, 5) < left);
  assert.equal(at(heat, 4, 10), 0);
});

test("heat at an edge stays on its side of the page", () => {
  const heat = heatOf({ columns: 9, rows: 11, cells: [[5 * 9 + 8, 1]] });
  for (let row = 0; row < 11; row++) assert.equal(at(heat, 0, row), 0);
});

test("the place that was pointed at most is the hottest, and others have their share", () => {
  const heat = heatOf({ columns: 9, rows: 30, cells: [[4, 100], [25 * 9 + 4, 50]] });
  assert.equal(Math.max(...heat), 1);
  assert.ok(at(heat, 4, 25) < 0.9 && at(heat, 4, 25) > 0.4);
});

test("a page that nobody pointed at is cold", () => {
  assert.ok(heatOf({ columns: 3, rows: 3, cells: [] }).every((value) => value === 0));
});

test("the cold is clear, the hottest is dark red, and more heat is never lighter", () => {
  assert.equal(colorOfHeat(0)[3], 0);
  assert.deepEqual(colorOfHeat(1), [160, 8, 66, 240]);
  assert.deepEqual(colorOfHeat(9), colorOfHeat(1));
  assert.deepEqual(colorOfHeat(-1), colorOfHeat(0));
  const opacities = Array.from({ length: 101 }, (_, n) => colorOfHeat(n / 100)[3]);
  assert.deepEqual(opacities, opacities.toSorted((a, b) => a - b));
});
