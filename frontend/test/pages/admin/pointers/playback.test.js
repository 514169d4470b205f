import assert from "node:assert/strict";
import { test } from "node:test";
import { clockOf, Playback } from "../../../../src/pages/admin/pointers/playback.js";

const move = (second, x = second / 100) => [new Date(second * 1_000).toISOString(), x, 0.5, false];

test("it plays at a speed, pauses, seeks, and stops at its end", () => {
  const playback = new Playback([move(0), move(1), move(2)]);
  assert.equal(playback.length, 2_000);
  playback.step(500, 1);
  assert.equal(playback.at, 0, "it has not begun");
  playback.play();
  playback.step(500, 2);
  assert.equal(playback.at, 1_000);
  assert.deepEqual(playback.trail.map(([, x]) => x), [0, 0.01]);
  playback.seek(99_999);
  assert.equal(playback.at, 2_000);
  playback.step(1, 1);
  assert.equal(playback.playing, false);
  playback.play();
  assert.equal(playback.at, 0, "from the start again");
});

test("a long pause is cut short, and clocks that go back do no harm", () => {
  assert.equal(new Playback([move(0), move(3_600), move(3_599)]).length, 2_000);
});

test("a session without moves can't be played", () => {
  const playback = new Playback([]);
  playback.play();
  assert.deepEqual([playback.playing, playback.length, playback.trail], [false, 0, []]);
});

test("a time is said in minutes and seconds", () => {
  assert.deepEqual([0, 59_999, 60_000, 3_605_000].map(clockOf), ["0:00", "0:59", "1:00", "60:05"]);
});
