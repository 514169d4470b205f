import { start as startTracking } from "./client.js";
import { subscribe } from "./live/connections.js";

/**
 * Starts counting, and can watch: `live(topic, callback, onstate?)` calls back with each message of
 * a topic of the live protocol, through reconnects, and returns what ends it. It needs `readKey`.
 */
export function start(options) {
  const client = startTracking(options);
  const from = { server: client.server, key: options.readKey };
  const live = (topic, callback, onstate) => subscribe(from, topic, callback, onstate);
  return Object.assign(client, { live });
}
