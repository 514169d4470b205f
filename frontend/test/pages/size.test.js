import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { gzipSync } from "node:zlib";

// What a reader loads to see a page, gzipped, its styles among it. `npm run build` makes the files.
const BUILT = new URL("../../dist/", import.meta.url);
const MOST_BYTES = { "index.html": 45_000, "overview.html": 32_000, "admin.html": 25_000 };
const MOST_BYTES_OF_STYLE = 30_000;

const read = (path) => readFileSync(new URL(path, BUILT));
const gzipped = (path) => gzipSync(read(path), { level: 9 }).length;
const sum = (numbers) => numbers.reduce((all, each) => all + each, 0);

/** The scripts and styles that a page names, each once. */
const partsOf = (page, ending) =>
  new Set(read(page).toString().match(new RegExp(`assets/[^"]+\\.(${ending})(?=")`, "g")));

for (const [page, most] of Object.entries(MOST_BYTES)) {
  test(`${page} has no more than ${most} bytes with all its parts`, () => {
    const parts = [page, ...partsOf(page, "js|css")];
    assert.ok(parts.length >= 4, parts.join());
    const bytes = sum(parts.map(gzipped));
    assert.ok(bytes <= most, `${bytes} bytes`);
  });
}

test(`all pages' styles have no more than ${MOST_BYTES_OF_STYLE} bytes as they are`, () => {
  const styles = new Set(Object.keys(MOST_BYTES).flatMap((page) => [...partsOf(page, "css")]));
  assert.ok(sum([...styles].map((path) => read(path).length)) <= MOST_BYTES_OF_STYLE);
});
