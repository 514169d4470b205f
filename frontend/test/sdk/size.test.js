import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { gunzipSync } from "node:zlib";

// What a page that uses Livetally makes its readers load, gzipped. `npm run build` makes the files.
const BUILT = new URL("../../dist/js/", import.meta.url);
const MOST_BYTES = {
  "livetally-track.js": 5_500,
  "livetally-track.mjs": 5_500,
  "livetally.js": 9_500,
  "livetally.mjs": 9_500,
  "livetally-count.js": 5_000,
  "livetally-pointer.mjs": 500,
};

for (const [name, most] of Object.entries(MOST_BYTES)) {
  test(`${name} has no more than ${most} bytes, and what is gzipped is the same`, async () => {
    const gzipped = await readFile(new URL(`${name}.gz`, BUILT));
    assert.ok(gzipped.length <= most, `${gzipped.length} bytes`);
    assert.deepEqual(gunzipSync(gzipped), await readFile(new URL(name, BUILT)));
  });
}
