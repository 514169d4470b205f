import assert from "node:assert/strict";
import { test } from "node:test";
import { changeOf, periodOf, seriesOf } from "../../src/data/period.js";

const NOW = Date.parse("2026-11-21T10:00:30Z");
const HOUR = 3_600_000;
const at = (text) => Date.parse(`2026-11-${text}:00Z`);

test("a period ends with the minute of now, in whole minutes", () => {
  const hour = periodOf({ range: "hour" }, NOW);
  assert.deepEqual(hour, { from: at("21T09:01"), to: at("21T10:01"), ongoing: true });
  assert.deepEqual(periodOf({ range: "ever" }, NOW), { from: null, to: at("21T10:01"), ongoing: true });
});

test("a custom period is the one that was chosen, up to now at most, or none", () => {
  const custom = (from, to) => periodOf({ range: "custom", from, to }, NOW);
  const past = custom("2026-11-20T10:00Z", "2026-11-20T12:00Z");
  assert.deepEqual(past, { from: at("20T10:00"), to: at("20T12:00"), ongoing: false });
  const open = { from: at("20T10:00"), to: at("21T10:01"), ongoing: true };
  assert.deepEqual(custom("2026-11-20T10:00Z", ""), open);
  assert.deepEqual(custom("2026-11-20T10:00Z", "2027-01-01T00:00Z"), open);
  for (const [from, to] of [["", ""], ["2026-11-20T10:00Z", "2026-11-20T10:00Z"], ["2027-01-01T00:00Z", ""]]) {
    assert.equal(custom(from, to), null);
  }
});

test("a line has as many points as can be seen, and the period before as many again", () => {
  const day = { from: NOW - 24 * HOUR, to: NOW };
  assert.deepEqual(seriesOf(day, false), { bucket: "hour", from: NOW - 24 * HOUR, to: NOW });
  assert.deepEqual(seriesOf(day, true), { bucket: "hour", from: NOW - 48 * HOUR, to: NOW });
  assert.equal(seriesOf({ from: NOW - HOUR, to: NOW }, true).bucket, "minute");
  assert.equal(seriesOf({ from: NOW - 7 * 24 * HOUR, to: NOW }, true).bucket, "hour");
  assert.equal(seriesOf({ from: NOW - 3_000 * 24 * HOUR, to: NOW }, true).bucket, "day");
  assert.deepEqual(seriesOf({ from: null, to: NOW }, true), { bucket: "day", from: NOW - 1_440 * HOUR, to: NOW });
});

test("a change is said in percent, and only where there is something to compare", () => {
  assert.deepEqual(
    [[5, 4], [3, 4], [4, 4], [0, 4], [4, 0], [0, 0], [4, undefined], [4_000, 4]].map((pair) => changeOf(...pair)),
    ["+25 %", "−25 %", "+0 %", "−100 %", "new", "", "", "×1000"],
  );
});
