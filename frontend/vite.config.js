import { readdirSync, readFileSync } from "node:fs";
import { defineConfig } from "vite";

// `npm run dev` serves the pages and passes the rest on to a service started by `make run`.
const service = process.env.LIVETALLY_URL ?? "http://127.0.0.1:8080";

const folder = new URL("./", import.meta.url).pathname;
const PART = "header.html";
const PAGES = readdirSync(folder).filter((name) => name.endsWith(".html") && name !== PART);

const addressOf = (file) => `/${file.replace(/^\/?(index)?/, "").replace(".html", "")}`;

/** Every page's header is header.html, where its own link is marked as the page that one is on. */
const header = {
  name: "livetally-header",
  transformIndexHtml: {
    order: "pre",
    handler: (html, { path }) =>
      html.replace("<!-- header -->", () =>
        readFileSync(folder + PART, "utf8").replace(
          new RegExp(`(<nav[^]*?<a href="${addressOf(path)}")`),
          '$1 aria-current="page"',
        ),
      ),
  },
  configureServer: ({ middlewares }) => {
    middlewares.use((request, _, next) => {
      if (PAGES.includes(`${request.url.slice(1)}.html`)) request.url += ".html";
      next();
    });
  },
};

export default defineConfig({
  base: "/",
  appType: "mpa",
  plugins: [header],
  build: {
    outDir: "dist",
    assetsDir: "assets",
    sourcemap: false,
    // The pages must run under a policy without inline scripts or data: addresses.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rollupOptions: { input: PAGES.map((name) => folder + name) },
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
