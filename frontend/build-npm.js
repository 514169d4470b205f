// Builds the npm package `livetally`: to dist/npm, or where it is told. Modules as they are, for others'
// bundlers; its version is the service's.
import { copyFile, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { build } from "rolldown";

const here = new URL("./", import.meta.url).pathname;
const source = `${here}src/sdk/package/`;
const target = process.argv[2] ?? `${here}dist/npm`;
const ENTRIES = ["index", "track", "count", "snippet"];

await rm(target, { recursive: true, force: true });
await mkdir(target, { recursive: true });
await build({
  input: Object.fromEntries(ENTRIES.map((name) => [name, `${source}${name}.js`])),
  preserveEntrySignatures: "strict",
  transform: { target: "es2022" },
  output: {
    dir: target,
    format: "es",
    entryFileNames: "[name].js",
    chunkFileNames: "[name]-[hash].js",
  },
});
for (const name of await readdir(source)) {
  if (/\.(d\.ts|md)$/.test(name)) await copyFile(source + name, `${target}/${name}`);
}
await copyFile(`${here}../LICENSE`, `${target}/LICENSE`);
const about = JSON.parse(await readFile(`${source}package.json`, "utf8"));
const python = await readFile(`${here}../service/livetally/__init__.py`, "utf8");
const [, version] = /^__version__ = "(.+)"$/m.exec(python);
await writeFile(`${target}/package.json`, `${JSON.stringify({ ...about, version }, null, 2)}\n`);
