import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { afterEach, beforeEach, test } from "node:test";
import { STUB, snippet, takeOver } from "../../src/sdk/bundles/stub.js";

let calls;
const client = {
  track: (...given) => calls.push(["track", ...given]),
  live: (topic) => {
    calls.push(["live", topic]);
    return () => calls.push(["end", topic]);
  },
};

beforeEach(() => {
  calls = [];
  globalThis.window = globalThis;
  (0, eval)(STUB);
});

afterEach(() => {
  delete globalThis.livetally;
  delete globalThis.window;
});

test("calls made before the SDK came are made in order, and later ones directly", async () => {
  livetally.track("sale", "one", { price: 9 });
  livetally.track("sale", "two");
  assert.equal(takeOver(client), client);
  await null;
  livetally.track("sale", "three");
  assert.deepEqual(calls, [
    ["track", "sale", "one", { price: 9 }],
    ["track", "sale", "two"],
    ["track", "sale", "three"],
  ]);
});

test("what a subscription returned ends it, before the SDK came and after", async () => {
  const ends = ["a", "b"].map((topic) => livetally.live(topic));
  ends[0]();
  takeOver(client);
  await null;
  ends[1]();
  assert.deepEqual(calls, [["live", "b"], ["end", "b"]]);
});

test("a call that this SDK doesn't have leaves the others", async () => {
  livetally.pageView("/by-hand");
  livetally.track("sale", "good");
  takeOver(client);
  await null;
  assert.deepEqual(calls, [["track", "sale", "good"]]);
});

test("what is there already stays: another stub, or the SDK itself", () => {
  livetally.track("sale", "one");
  (0, eval)(STUB);
  assert.equal(livetally.calls.length, 1);
});

test("the docs show this stub", async () => {
  const readme = await readFile(new URL("../../README.md", import.meta.url), "utf8");
  const plain = (text) => text.replace(/\s+/g, " ");
  assert.ok(plain(readme).includes(plain(STUB)));
});

test("the snippet is a script that nothing in its options can end", () => {
  const html = snippet({ server: "https://counts.example/base/", key: "</script><script>" });
  assert.match(html, /^<script>\n[^]+\n<\/script>$/);
  assert.equal(html.match(/<\/?script>/g).length, 2);
  assert.ok(html.includes('import("https://counts.example/base/js/livetally.mjs")'));
});
