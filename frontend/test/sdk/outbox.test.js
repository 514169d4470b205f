import assert from "node:assert/strict";
import { test } from "node:test";
import { createOutbox } from "../../src/sdk/send/outbox.js";

const ids = (events) => events.map(({ id }) => id);
const filled = (n, options) => {
  const outbox = createOutbox(options);
  for (let id = 0; id < n; id++) outbox.add({ id });
  return outbox;
};

test("events leave in the order they came, no more in a batch than the server takes", () => {
  const outbox = filled(5, { batchSize: 2 });
  const sent = [];
  while (outbox.unconfirmed().length > 0) {
    const batch = outbox.take();
    assert.ok(batch.length <= 2);
    sent.push(...ids(batch));
    outbox.confirm();
  }
  assert.deepEqual(sent, [0, 1, 2, 3, 4]);
});

test("while one batch is under way there is no other, and new events wait behind it", () => {
  const outbox = filled(2);
  assert.deepEqual(ids(outbox.take()), [0, 1]);
  outbox.add({ id: 2 });
  assert.deepEqual(outbox.take(), []);
  assert.deepEqual(ids(outbox.unconfirmed()), [0, 1, 2]);
});

test("what could not be sent comes first the next time, with what came meanwhile behind", () => {
  const outbox = filled(3, { batchSize: 2 });
  outbox.take();
  outbox.add({ id: 3 });
  outbox.putBack();
  assert.deepEqual(ids(outbox.unconfirmed()), [0, 1, 2, 3]);
  assert.deepEqual(ids(outbox.take()), [0, 1]);
});

test("a full box refuses the newest, and takes events again once it has drained", () => {
  const outbox = filled(5, { capacity: 3, batchSize: 2 });
  assert.deepEqual(ids(outbox.unconfirmed()), [0, 1, 2]);
  outbox.take();
  assert.equal(outbox.add({ id: 9 }), false, "a batch under way still takes its room");
  outbox.confirm();
  assert.equal(outbox.add({ id: 10 }), true);
});

test("a batch is no larger than the server takes, in bytes of UTF-8", () => {
  const outbox = createOutbox({ batchBytes: 1_000 });
  for (let id = 0; id < 40; id++) outbox.add({ id, subject: "ü".repeat(id) });
  const sent = [];
  while (outbox.unconfirmed().length > 0) {
    const batch = outbox.take();
    assert.ok(Buffer.byteLength(JSON.stringify(batch)) <= 1_000);
    sent.push(...ids(batch));
    outbox.confirm();
  }
  assert.deepEqual(sent, Array.from({ length: 40 }, (_, id) => id));
});

test("an event that is larger than a batch goes alone, for the server to refuse", () => {
  const outbox = createOutbox({ batchBytes: 100 });
  outbox.add({ id: 0 });
  outbox.add({ id: 1, subject: "x".repeat(500) });
  outbox.add({ id: 2 });
  for (const id of [0, 1, 2]) {
    assert.deepEqual(ids(outbox.take()), [id]);
    outbox.confirm();
  }
});

test("a batch that is too large for something on the way is halved until it passes", () => {
  const outbox = filled(8);
  outbox.take();
  outbox.shrink();
  assert.deepEqual(ids(outbox.take()), [0, 1, 2, 3]);
  outbox.shrink();
  assert.deepEqual(ids(outbox.take()), [0, 1]);
  assert.equal(outbox.unconfirmed().length, 8);
});

test("what is discarded is gone, except for the batch under way", (context) => {
  const outbox = filled(4, { batchSize: 2 });
  outbox.take();
  const { now } = performance;
  context.after(() => (performance.now = now));
  performance.now = () => now.call(performance) + 24 * 3_600_000;
  assert.equal(outbox.add({ id: 4 }), true);
  assert.deepEqual(ids(outbox.discard()), [2, 3]);
  assert.deepEqual(ids(outbox.unconfirmed()), [0, 1, 4]);
});

test("what was refused alone goes last, so that the others don't wait for it", () => {
  const outbox = filled(3, { batchSize: 1 });
  outbox.take();
  outbox.shrink();
  assert.deepEqual(ids(outbox.unconfirmed()), [1, 2, 0]);
});

test("what a leaving page takes along is all that fits, under way or not", () => {
  const outbox = filled(5, { batchSize: 2 });
  outbox.take();
  assert.deepEqual(ids(outbox.first(30)), [0, 1, 2]);
});

test("what an earlier page left goes before what waits, once", () => {
  const outbox = filled(3, { capacity: 6, batchSize: 1 });
  outbox.take();
  outbox.restore([{ id: -3 }, { id: 0 }, { id: -2 }, { id: 2 }, { id: -1 }]);
  assert.deepEqual(ids(outbox.unconfirmed()), [0, -3, -2, -1, 1, 2]);
  assert.equal(outbox.room(), 0);
});
