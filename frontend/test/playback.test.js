import assert from "node:assert/strict";
import { test } from "node:test";
import { interpolateHeat } from "../src/heat.js";
import { Playback } from "../src/playback.js";

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

test("heat is a colour for every share, and more is darker", () => {
  assert.equal(interpolateHeat(0), "hsl(55 92% 62% / 0.30)");
  assert.equal(interpolateHeat(1), "hsl(0 92% 38% / 0.90)");
  assert.equal(interpolateHeat(2), interpolateHeat(1));
});
