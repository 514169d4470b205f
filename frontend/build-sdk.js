// Builds what other people's pages load, each file whole, to dist/js; and gzipped beside it, which
// the service hands out as it is.
import { readFile, writeFile } from "node:fs/promises";
import { gzipSync } from "node:zlib";
import { build } from "vite";

const FILES = {
  "livetally.js": "iife",
  "livetally-track.js": "iife",
  "livetally-count.js": "iife",
  "livetally.mjs": "es",
  "livetally-track.mjs": "es",
};
const folder = new URL("dist/js/", import.meta.url).pathname;

for (const [name, format] of Object.entries(FILES)) {
  await build({
    configFile: false,
    logLevel: "warn",
    publicDir: false,
    build: {
      outDir: folder,
      emptyOutDir: false,
      target: "es2022",
      minify: true,
      modulePreload: false,
      rollupOptions: {
        input: new URL(`src/sdk/bundles/${name}`, import.meta.url).pathname,
        preserveEntrySignatures: "strict",
        output: { format, entryFileNames: name },
      },
    },
  });
  await writeFile(`${folder}${name}.gz`, gzipSync(await readFile(folder + name), { level: 9 }));
}
