// Format 2's front end: a subscription by one of the two npm packages there are.
//   node cable.mjs PACKAGE URL IDENTIFIER          prints what happens, a line of JSON each

import { createRequire } from "node:module";

const require = createRequire(new URL("../../../../frontend/package.json", import.meta.url));
const WebSocket = require("ws");

// In a page an exception in a handler ends nothing. The older package, which is older than the
// message, has one at every "disconnect".
class PageSocket extends WebSocket {
  set onmessage(handle) {
    super.onmessage = (event) => {
      try {
        handle(event);
      } catch (error) {
        console.error(error.message);
      }
    };
  }
}

// Both packages are written for pages: this is what they ask of one.
globalThis.window = globalThis;
globalThis.WebSocket = PageSocket;
globalThis.addEventListener = globalThis.removeEventListener = () => {};
globalThis.document = {
  addEventListener() {},
  removeEventListener() {},
  visibilityState: "visible",
};

const [name, url, identifier] = process.argv.slice(2);
const print = (value) => process.stdout.write(JSON.stringify(value) + "\n");

require(name).createConsumer(url).subscriptions.create(JSON.parse(identifier), {
  connected: () => print({ event: "connected" }),
  disconnected: () => print({ event: "disconnected" }),
  rejected: () => print({ event: "rejected" }),
  received: (data) => print({ event: "received", data }),
});
