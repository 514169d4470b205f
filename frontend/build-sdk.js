// Builds what other people's pages load, each file whole, to dist/js; and gzipped beside it, which
// the service hands out as it is.
import { readFile, writeFile } from "node:fs/promises";
import { gzipSync } from "node:zlib";
import { build } from "rolldown";

const FILES = {
  "livetally.js": "iife",
  "livetally-track.js": "iife",
  "livetally-count.js": "iife",
  "livetally.mjs": "es",
  "livetally-track.mjs": "es",
  "livetally-pointer.mjs": "es",
};
const source = new URL("src/sdk/bundles/", import.meta.url).pathname;
const folder = new URL("dist/js/", import.meta.url).pathname;

const pointer = {
  name: "livetally-pointer",
  resolveId: (id) => (id.endsWith("/pointer_loader.js") ? `${source}pointer_loader.js` : null),
};

for (const [name, format] of Object.entries(FILES)) {
  await build({
    input: source + name,
    plugins: [pointer],
    transform: { target: "es2022" },
    output: { format, file: folder + name, minify: true, comments: false },
  });
  await writeFile(`${folder}${name}.gz`, gzipSync(await readFile(folder + name), { level: 9 }));
}
