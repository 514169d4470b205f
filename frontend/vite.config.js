import { readdirSync, readFileSync } from "node:fs";
import { basename } from "node:path";
import { defineConfig } from "vite";

// `npm run dev` serves the pages and passes the rest on to a service started by `make run`.
const service = process.env.LIVETALLY_URL ?? "http://127.0.0.1:8080";

const folder = new URL("./", import.meta.url).pathname;
const HEADER = "src/pages/shared/header.html";
// What the pages have in common with those that the service writes itself.
const SHARED = "../service/livetally/site/shared/";

/** Where a page is, by its file's name: overview.html at /overview, index.html at /. */
const addressOf = (file) => `/${basename(file, ".html").replace(/^index$/, "")}`;

/** Every page's file by its address. */
const PAGES = new Map(
  readdirSync(`${folder}src/pages`, { recursive: true })
    .map((file) => `src/pages/${file}`)
    .filter((file) => file.endsWith(".html") && file !== HEADER)
    .map((file) => [addressOf(file), file]),
);

const read = (file) => readFileSync(folder + file, "utf8");

/** The links to all pages; the one to this page is marked. */
const links = (here) =>
  JSON.parse(read(`${SHARED}pages.json`))
    .map(({ address, name }) => {
      const current = address === here ? ' aria-current="page"' : "";
      return `<a href="${address}"${current}>${name}</a>`;
    })
    .join("\n");

/** Every page's header is header.html, with the service's brand and links. */
const header = {
  name: "livetally-header",
  transformIndexHtml: {
    order: "pre",
    handler: (html, { path }) =>
      html
        .replace("<!-- header -->", () => read(HEADER))
        .replace("<!-- brand -->", () => read(`${SHARED}brand.html`))
        .replace("<!-- pages -->", () => links(addressOf(path))),
  },
};

/** Pages live in folders of their own and are built, and in development served, side by side. */
const addresses = {
  name: "livetally-addresses",
  enforce: "post",
  generateBundle(_, bundle) {
    for (const [name, { source }] of Object.entries(bundle)) {
      if (!name.endsWith(".html")) continue;
      delete bundle[name];
      this.emitFile({ type: "asset", fileName: basename(name), source });
    }
  },
  configureServer: ({ middlewares }) => {
    middlewares.use((request, _, next) => {
      const page = PAGES.get(request.url.split("?")[0]);
      if (page) request.url = `/${page}`;
      next();
    });
  },
};

export default defineConfig({
  base: "/",
  appType: "mpa",
  plugins: [header, addresses],
  build: {
    outDir: "dist",
    assetsDir: "assets",
    sourcemap: false,
    // The pages must run under a policy without inline scripts or data: addresses.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rollupOptions: { input: [...PAGES.values()].map((file) => folder + file) },
  },
  server: {
    host: "127.0.0.1",
    proxy: {
      "/v1": { target: service, ws: true },
      "/admin/v1": service,
      "/page.json": service,
      "/js": service,
    },
  },
});
