import { start as startTracking } from "./client.js";
import { subscribe } from "./live/connections.js";

/**
 * Starts counting, and can watch: `live(topic, callback, onstate?)` calls back with each message of
 * a topic of the live protocol, through reconnects, and returns what ends it. It needs `readKey`.
 */
export function start(options) {
  const client = startTracking(options);
  const from = { server: client.server, key: options.readKey };
  // On a server that renders pages nobody watches.
  const live = (topic, callback, onstate) =>
    globalThis.document ? subscribe(from, topic, callback, onstate) : () => {};
  return { ...client, live };
}
