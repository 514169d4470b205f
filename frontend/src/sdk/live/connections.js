import { Live } from "./live.js";

// One for the page, though the SDK and the widget are scripts of their own.
const CONNECTIONS = Symbol.for("livetally.connections");

/**
 * Subscribes over the page's one connection to this server with this key; the last subscription to
 * end closes it. `onstate` is told the connection's state (see `Live`), at once and when it changes.
 */
export function subscribe({ server, key }, topic, receive, onstate) {
  const connections = (globalThis[CONNECTIONS] ??= new Map());
  const name = `${server} ${key}`;
  const connection = connections.get(name) ?? new Shared(server, key);
  connections.set(name, connection);
  const end = connection.subscribe(topic, receive, onstate);
  return () => {
    end();
    if (connection.close()) connections.delete(name);
  };
}

/** A connection that follows the life of the page. */
class Shared {
  #live;
  #key;
  #listeners = new Set();
  #unlisten = new AbortController();

  constructor(server, key) {
    const url = new URL("v1/live", server).href.replace(/^http/, "ws");
    const state = (state) => this.#listeners.forEach((listener) => listener(state));
    this.#live = new Live({ url, handlers: { state } });
    this.#key = key;
    const on = (target, type, react) =>
      target.addEventListener(type, react, { signal: this.#unlisten.signal });
    on(globalThis, "online", () => this.#live.hurry());
    on(globalThis, "offline", () => this.#live.hurry());
    on(document, "visibilitychange", () => this.#live.hurry());
    on(globalThis, "pagehide", () => this.#live.stop());
    on(globalThis, "pageshow", ({ persisted }) => persisted && this.#live.start(key));
  }

  subscribe(topic, receive, onstate) {
    const listener = (state) => onstate?.(state);
    this.#listeners.add(listener);
    const end = this.#live.subscribe(topic, receive);
    if (this.#live.size === 1) this.#live.start(this.#key);
    else listener(this.#live.state);
    return () => {
      this.#listeners.delete(listener);
      end();
    };
  }

  /** True when it was closed: nobody is left. */
  close() {
    if (this.#live.size > 0) return false;
    this.#live.stop();
    this.#unlisten.abort();
    return true;
  }
}
