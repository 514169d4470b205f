import { defineConfig } from "vite";

// `npm run dev` serves the page and passes the rest on to a service started by `make run`.
const service = process.env.LIVETALLY_URL ?? "http://127.0.0.1:8080";

export default defineConfig({
  base: "/",
  build: {
    outDir: "dist",
    assetsDir: "assets",
    sourcemap: false,
    // The page must run under a policy without inline scripts or data: addresses.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: {
    host: "127.0.0.1",
    proxy: {
      "/v1": { target: service, ws: true },
      "/page.json": service,
    },
  },
});
