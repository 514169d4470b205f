import assert from "node:assert/strict";
import { test } from "node:test";
import { Rates } from "../../../src/pages/admin/rates.js";

test("a rate is of the last seconds, and falls to nothing in silence", () => {
  const rates = new Rates(5_000);
  for (let second = 0; second <= 10; second++) rates.note("a", second * 10, second * 1_000);
  assert.equal(rates.of("a", 10_000), 10);
  assert.equal(rates.of("a", 20_000), 0);
});

test("one count alone says nothing of a rate, nor does an unknown name", () => {
  const rates = new Rates();
  rates.note("a", 1_000_000, 0);
  assert.equal(rates.of("a", 1), 0);
  assert.equal(rates.of("__proto__", 1), 0);
});

test("two counts at one moment make no infinite rate", () => {
  const rates = new Rates();
  rates.note("a", 0, 0);
  rates.note("a", 5, 0);
  assert.equal(rates.of("a", 0), 5);
});
