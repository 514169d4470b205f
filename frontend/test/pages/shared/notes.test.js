import assert from "node:assert/strict";
import { test } from "node:test";
import { notesFor } from "../../../src/pages/shared/notes.js";

const fine = { unconfirmed: 0, dropped: 0, retrying: false, slow: false, rejected: { count: 0 } };
const live = { name: "live" };

test("a page on which all is well says nothing, however much is on its way", () => {
  assert.deepEqual(notesFor(live, { ...fine, unconfirmed: 300 }, null), []);
});

test("whatever isn't counted, or isn't yet, is said with its number", () => {
  const waiting = { ...fine, unconfirmed: 1, retrying: true };
  assert.match(notesFor(live, waiting, null)[0], /^1 event not confirmed/);
  assert.match(notesFor(live, { ...fine, unconfirmed: 2, slow: true }, null)[0], /^2 events not/);
  assert.match(notesFor(live, { ...fine, dropped: 7 }, null)[0], /^7 events dropped and not counted/);
  const rejected = { count: 3, message: "The subject is too long." };
  assert.match(notesFor(live, { ...fine, rejected }, null)[0], /^3 events refused.*too long/);
});

test("stale counts are called so, beside everything else there is to say", () => {
  const notes = notesFor({ name: "stale" }, { ...fine, dropped: 1 }, "Slow down.");
  assert.equal(notes.length, 3);
  assert.match(notes[0], /database/);
  assert.match(notes[2], /Slow down/);
});
