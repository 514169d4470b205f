import { backoff, reconnectAfter } from "./backoff.js";

const TIMES = { readyWithin: 10_000, pingEvery: 20_000, pongWithin: 10_000, steadyAfter: 5_000 };
const POLICY_VIOLATION = 1008;
const SERVICE_RESTART = 1012;

/**
 * One connection to `/v1/live` that subscribes to `topics` (id -> topic) and comes back by
 * itself. Its state is one of
 *   connecting    the first attempt, or counts not here yet
 *   live          what is shown is what the server has
 *   stale         connected, but the server can't reach its database
 *   reconnecting  cut; `retryAt` says when it tries again
 *   offline       cut, and the browser has no network (it tries all the same: localhost works)
 *   refused       the key is no good; only a new one helps
 */
export class Live {
  state = { name: "connecting", retryAt: null, restarting: false };
  #url;
  #topics;
  #handlers;
  #WebSocket;
  #random;
  #online;
  #times;
  #key = null;
  #socket = null;
  #attempt = 0;
  #liveSince = null;
  #stale = false;
  #missing = new Set();
  #timers = {};

  constructor({
    url,
    topics,
    handlers,
    WebSocket = globalThis.WebSocket,
    random = Math.random,
    online = () => globalThis.navigator?.onLine !== false,
    times = {},
  }) {
    this.#url = url;
    this.#topics = topics;
    this.#handlers = handlers;
    this.#WebSocket = WebSocket;
    this.#random = random;
    this.#online = online;
    this.#times = { ...TIMES, ...times };
  }

  start(key) {
    this.stop();
    this.#key = key;
    this.#attempt = 0;
    this.#tell("connecting");
    this.#open();
  }

  stop() {
    this.#abandon();
    this.#key = null;
  }

  /** Now is a good moment: the network is back, or someone looks at the page again. */
  hurry() {
    if (this.#key === null) return;
    if (this.#socket) return this.#probe();
    this.#open();
  }

  #open() {
    this.#abandon();
    const socket = new this.#WebSocket(this.#url);
    this.#socket = socket;
    // A socket that was given up may still speak: it is not listened to.
    const ours = (react) => (event) => this.#socket === socket && react(event);
    socket.onopen = ours(() => this.#send({ type: "auth", key: this.#key }));
    socket.onmessage = ours((event) => this.#receive(event.data));
    socket.onclose = ours((event) => this.#closed(event));
    this.#timers.ready = setTimeout(() => this.#lost(), this.#times.readyWithin);
  }

  // close() alone would wait for an answer that a dead connection never gives.
  #abandon() {
    const socket = this.#socket;
    this.#socket = null;
    this.#stale = false;
    for (const timer of Object.values(this.#timers)) clearTimeout(timer);
    this.#timers = {};
    socket?.close();
  }

  #closed({ code, reason }) {
    if (code === POLICY_VIOLATION) return this.#refused(reason);
    if (code === SERVICE_RESTART) {
      return this.#lost({ restarting: true, atLeast: reconnectAfter(reason) });
    }
    this.#lost();
  }

  #refused(reason) {
    this.stop();
    this.#tell("refused");
    this.#handlers.refused(reason);
  }

  #lost({ restarting = false, atLeast = 0 } = {}) {
    const steady = Date.now() - (this.#liveSince ?? Infinity) >= this.#times.steadyAfter;
    if (steady) this.#attempt = 0;
    this.#liveSince = null;
    this.#abandon();
    const wait = atLeast + backoff(this.#attempt, { random: this.#random });
    this.#attempt += 1;
    this.#timers.retry = setTimeout(() => this.#open(), wait);
    const name = this.#online() ? "reconnecting" : "offline";
    this.#tell(name, { retryAt: Date.now() + wait, restarting });
  }

  #receive(data) {
    let message;
    try {
      message = JSON.parse(data);
    } catch {
      return this.#lost();
    }
    this.#alive();
    this.#react(message);
  }

  #react(message) {
    switch (message.type) {
      case "ready":
        return this.#ready(message);
      case "snapshot":
        this.#handlers.snapshot(message.id, message);
        this.#missing.delete(message.id);
        return this.#tellHealth();
      case "update":
        return this.#handlers.update(message.id, message);
      case "stale":
      case "fresh":
        this.#stale = message.type === "stale";
        this.#tellHealth();
        if (!this.#stale) this.#handlers.fresh();
        return;
      case "error":
        this.#handlers.error(message);
        return this.#declined(message);
    }
  }

  // `retry_after_s` means not now; without it the key doesn't allow what was asked. An error
  // about neither the key nor a subscription leaves the connection as it is.
  #declined({ id, message, retry_after_s }) {
    const later = retry_after_s * 1_000 + backoff(0, { random: this.#random });
    if (retry_after_s === undefined) {
      if (this.#missing.has(id)) this.#refused(message);
    } else if (!this.#timers.ping) {
      this.#lost({ atLeast: later });
    } else if (this.#missing.has(id)) {
      this.#timers[`subscribe ${id}`] = setTimeout(() => this.#subscribe(id), later);
    }
  }

  #ready(message) {
    clearTimeout(this.#timers.ready);
    this.#handlers.ready(message);
    this.#missing = new Set(this.#topics.keys());
    for (const id of this.#missing) this.#subscribe(id);
    this.#pingLater();
  }

  #subscribe(id) {
    this.#send({ type: "subscribe", id, topic: this.#topics.get(id) });
  }

  #tellHealth() {
    if (this.#stale) return this.#tell("stale");
    if (this.#missing.size > 0) return;
    this.#liveSince ??= Date.now();
    this.#tell("live");
  }

  #pingLater() {
    this.#timers.ping = setTimeout(() => {
      this.#probe();
      this.#pingLater();
    }, this.#times.pingEvery);
  }

  // The browser answers the server's pings where scripts can't see them, so ask in our own words.
  #probe() {
    if (!this.#timers.ping || this.#timers.pong) return;
    this.#send({ type: "ping" });
    this.#timers.pong = setTimeout(() => this.#lost(), this.#times.pongWithin);
  }

  #alive() {
    clearTimeout(this.#timers.pong);
    delete this.#timers.pong;
  }

  #send(message) {
    this.#socket.send(JSON.stringify(message));
  }

  #tell(name, { retryAt = null, restarting = false } = {}) {
    this.state = { name, retryAt, restarting };
    this.#handlers.state(this.state);
  }
}
