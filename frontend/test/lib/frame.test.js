import assert from "node:assert/strict";
import { test } from "node:test";
import { Frame } from "../../src/lib/frame.js";

/** A screen of 60 frames a second: `run(n)` shows n of them; what was drawn is in `drawn`. */
function screen(options = {}, moves = () => false) {
  let asked = null;
  let now = 1_000;
  const drawn = [];
  globalThis.requestAnimationFrame = (callback) => {
    assert.equal(asked, null, "one request at a time");
    asked = callback;
    return 1;
  };
  const frame = new Frame((updated, elapsed) => {
    drawn.push(updated);
    return moves(elapsed);
  }, options);
  const run = (n, each = () => {}) => {
    for (let i = 0; i < n; i += 1) {
      each();
      now += 1_000 / 60;
      const callback = asked;
      asked = null;
      callback?.(now);
    }
  };
  return { frame, run, drawn, idle: () => asked === null };
}

test("what is new after a rest is drawn with the next frame, however often it was asked for", () => {
  const { frame, run, drawn, idle } = screen();
  run(3);
  assert.deepEqual(drawn, []);
  for (let i = 0; i < 5; i += 1) frame.ask();
  run(5);
  assert.deepEqual(drawn, [true]);
  assert.ok(idle());
});

test("of a stream updates are drawn in every second frame, and the last is never lost", () => {
  const { frame, run, drawn, idle } = screen();
  run(10, () => frame.ask());
  assert.deepEqual(drawn, [true, false, true, false, true, false, true, false, true, false]);
  run(3);
  assert.equal(drawn.at(-1), true);
  assert.equal(drawn.length, 11);
  assert.ok(idle());
});

test("what moves has every frame until it has arrived", () => {
  let left = 4;
  const { frame, run, drawn, idle } = screen({}, () => (left -= 1) > 0);
  frame.ask();
  run(9);
  assert.deepEqual(drawn, [true, false, false, false]);
  assert.ok(idle());
});

test("who wants all of them gets all", () => {
  const { frame, run, drawn } = screen({ apart: 0 });
  run(4, () => frame.ask());
  assert.deepEqual(drawn, [true, true, true, true]);
});
