import assert from "node:assert/strict";
import { test } from "node:test";
import { notesFor } from "../../../src/pages/shared/notes.js";

const fine = { unconfirmed: 0, dropped: 0, retrying: false, slow: false, rejected: { count: 0 } };
const live = { name: "live" };

test("a page on which all is well says nothing, however much is on its way", () => {
  assert.deepEqual(notesFor(live, { sending: { ...fine, unconfirmed: 300 } }), []);
});

test("whatever isn't counted, or isn't yet, is said with its number", () => {
  const waiting = { ...fine, unconfirmed: 1, retrying: true };
  assert.match(notesFor(live, { sending: waiting })[0], /^1 event not confirmed/);
  assert.match(notesFor(live, { sending: { ...fine, unconfirmed: 2, slow: true } })[0], /^2 events not/);
  assert.match(notesFor(live, { sending: { ...fine, dropped: 7 } })[0], /^7 events dropped and not counted/);
  const rejected = { count: 3, message: "The subject is too long." };
  assert.match(notesFor(live, { sending: { ...fine, rejected } })[0], /^3 events refused.*too long/);
});

test("a page that sends nothing says only how its counts are", () => {
  assert.deepEqual(notesFor(live), []);
  assert.match(notesFor({ name: "stale" })[0], /database/);
});

test("stale counts are called so, beside everything else there is to say", () => {
  const notes = notesFor({ name: "stale" }, { sending: { ...fine, dropped: 1 }, error: "Slow down." });
  assert.equal(notes.length, 3);
  assert.match(notes[0], /database/);
  assert.match(notes[2], /Slow down/);
});
