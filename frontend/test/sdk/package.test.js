import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { build } from "vite";

// The npm package as its users have it: packed, and installed into an empty folder.
// npm, a bundler and a compiler start here: on a busy machine they take their time.
const PATIENT = { timeout: 300_000 };
const FRONTEND = new URL("../../", import.meta.url).pathname;
const TSC = `${FRONTEND}node_modules/typescript/bin/tsc`;
const run = async (folder, program, ...given) =>
  (await promisify(execFile)(program, given, { cwd: folder })).stdout;

let folder;
let installed;

before(async () => {
  folder = await mkdtemp(`${tmpdir()}/livetally-`);
  await run(FRONTEND, process.execPath, "build-npm.js", `${folder}/built`);
  const [{ filename }] = JSON.parse(await run(`${folder}/built`, "npm", "pack", "--json"));
  await mkdir(`${folder}/user`);
  await writeFile(`${folder}/user/package.json`, '{"type":"module","private":true}');
  const quiet = ["--offline", "--no-audit", "--no-fund", "--loglevel=error"];
  await run(`${folder}/user`, "npm", "install", ...quiet, `../built/${filename}`);
  installed = `${folder}/user/node_modules/livetally`;
}, PATIENT);

after(() => rm(folder, { recursive: true, force: true }));

const about = async () => JSON.parse(await readFile(`${installed}/package.json`, "utf8"));

test("it has the service's version, and says what it may be used for", async () => {
  const python = await readFile(`${FRONTEND}../service/livetally/__init__.py`, "utf8");
  const { name, version, license } = await about();
  assert.equal(name, "livetally");
  assert.ok(python.includes(`__version__ = "${version}"`), version);
  assert.equal(license, "Apache-2.0");
  assert.match(await readFile(`${installed}/LICENSE`, "utf8"), /Apache License/);
});

test("no other file of the front end has a version that could differ", async () => {
  for (const name of ["package.json", "package-lock.json", "src/sdk/package/package.json"]) {
    const { version, packages } = JSON.parse(await readFile(FRONTEND + name, "utf8"));
    assert.deepEqual([version, packages?.[""].version], [undefined, undefined], name);
  }
});

test("where there is no window it can be imported and called, and counts nothing", async () => {
  const code = `
    import { start } from "livetally";
    import { start as startTracking } from "livetally/track";
    import "livetally/count";
    import { snippet } from "livetally/snippet";
    const client = start({ server: "https://counts.example/base", key: "lt_write_x", readKey: "r" });
    const end = client.live({ totals: "click" }, console.log);
    end();
    client.useKey("other");
    const tracking = startTracking({ server: "https://counts.example", key: "k" });
    console.log(JSON.stringify([client.server, client.track("a", "b"), tracking.pageView("/")]));
    console.log(snippet({ server: "https://counts.example", key: "</script>" }));
    client.stop();
  `;
  await writeFile(`${folder}/user/server.js`, code);
  const [first, ...html] = (await run(`${folder}/user`, "node", "server.js")).split("\n");
  assert.deepEqual(JSON.parse(first), ["https://counts.example/base/", null, null]);
  assert.equal(html.join("").match(/<\/script>/g).length, 1, "a key can't end the script");
});

const CONSUMER = `
  import { start, type LiveClient, type Message, type Problem } from "livetally";
  import { start as startTracking, type Client } from "livetally/track";
  import "livetally/count";
  import { snippet, STUB } from "livetally/snippet";

  const problems: Problem[] = [];
  const options = { server: "https://counts.example", key: "k", onerror: (e: Problem) => { problems.push(e); } };
  const live: LiveClient = start({ ...options, readKey: "r", hashRoutes: true });
  const client: Client = startTracking({ ...options, pointer: true });
  const id: string | null = live.track("sale", "buy", { price: 9 });
  client.pageView("/by-hand", { plan: "pro" });
  client.useKey("other");
  const end: () => void = live.live({ feed: "click", since: { 0: 5 } }, (message: Message) => {
    if (message.type === "events") console.log(message.events[0]?.subject, message.position["0"]);
    else if (message.type === "snapshot") console.log(message.total?.toFixed(), id);
    else if (message.type === "error") console.log(message.code);
  }, ({ name, retryAt }) => console.log(name === "live", retryAt));
  end();
  const count: HTMLElement = document.createElement("livetally-count");
  document.body.append(count, snippet({ server: "/", key: "k" }) + STUB);
  // @ts-expect-error a server is needed
  start({ key: "k" });
  // @ts-expect-error there is no such topic
  live.live({ total: "click" }, () => {});
  // @ts-expect-error without live() there is none
  client.live({ totals: "click" }, () => {});
`;

for (const resolution of ["bundler", "nodenext"]) {
  test(`its types are strict TypeScript's, as ${resolution} finds them`, PATIENT, async () => {
    await writeFile(`${folder}/user/consumer.ts`, CONSUMER);
    const module = resolution === "bundler" ? "esnext" : "nodenext";
    const given = `--noEmit --strict --skipDefaultLibCheck --exactOptionalPropertyTypes --target es2022 --lib es2022,dom
      --module ${module} --moduleResolution ${resolution} consumer.ts`;
    const options = given.trim().split(/\s+/);
    const said = await run(`${folder}/user`, process.execPath, TSC, ...options).catch((e) => e.stdout);
    assert.equal(said, "");
  });
}

test("a bundler takes what is used: tracking alone has nothing of the live client", PATIENT, async () => {
  await writeFile(`${folder}/user/page.js`, `
    import { start } from "livetally/track";
    import { snippet } from "livetally/snippet";
    start({ server: "https://counts.example", key: "k" });
  `);
  const { output } = await build({
    root: `${folder}/user`,
    configFile: false,
    logLevel: "warn",
    build: { write: false, rollupOptions: { input: `${folder}/user/page.js` } },
  });
  const [{ code }] = output;
  assert.match(code, /v1\/events/);
  assert.doesNotMatch(code, /v1\/live|livetally-count|window\.livetally \?\?=/);
});
