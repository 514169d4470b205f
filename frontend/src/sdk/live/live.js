import { rejectsKey } from "../send/answer.js";
import { attempt } from "../base/attempt.js";
import { backoff, bounded, reconnectAfter } from "../base/backoff.js";

const TIMES = { readyWithin: 10_000, pingEvery: 20_000, pongWithin: 10_000, steadyAfter: 5_000 };
const SERVICE_RESTART = 1012;

/**
 * One connection to `/v1/live` for any number of subscriptions, that comes back by itself: feeds
 * then go on from the position they had got to. Its state is one of
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
  #handlers;
  #WebSocket;
  #random;
  #online;
  #times;
  #key = null;
  #socket = null;
  #ready = false;
  #attempt = 0;
  #liveSince = null;
  #stale = false;
  #subscriptions = new Map();
  #lastId = 0;
  #timers = {};

  constructor({
    url,
    handlers = {},
    WebSocket = globalThis.WebSocket,
    random = Math.random,
    online = () => globalThis.navigator?.onLine !== false,
    times = {},
  }) {
    this.#url = url;
    this.#handlers = handlers;
    this.#WebSocket = WebSocket;
    this.#random = random;
    this.#online = online;
    this.#times = { ...TIMES, ...times };
  }

  get size() {
    return this.#subscriptions.size;
  }

  /**
   * `receive` gets every message of this topic, as the protocol has it; one of the type `error` is
   * the last. Returns what ends the subscription.
   */
  subscribe(topic, receive) {
    const id = ++this.#lastId;
    this.#subscriptions.set(id, { topic, receive, missing: true });
    if (this.#ready) this.#ask(id);
    this.#tellHealth();
    return () => {
      const ended = this.#subscriptions.get(id);
      if (!this.#subscriptions.delete(id)) return;
      clearTimeout(this.#timers[`subscribe ${id}`]);
      if (this.#ready && ended.asked) this.#send({ type: "unsubscribe", id });
      this.#tellHealth();
    };
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
    const socket = attempt(() => new this.#WebSocket(this.#url));
    if (!socket) return this.#lost(); // a browser lets no page of https connect to ws:
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
    this.#ready = this.#stale = false;
    for (const timer of Object.values(this.#timers)) clearTimeout(timer);
    this.#timers = {};
    socket?.close();
  }

  // Proxies close with 1008 too: what the server thinks of a key, it says in a message.
  #closed({ code, reason }) {
    if (code === SERVICE_RESTART) {
      return this.#lost({ restarting: true, atLeast: reconnectAfter(reason) });
    }
    this.#lost();
  }

  #refused(reason) {
    this.stop();
    this.#tell("refused");
    this.#handlers.refused?.(reason);
  }

  #lost({ restarting = false, atLeast = 0 } = {}) {
    const steady = performance.now() - (this.#liveSince ?? Infinity) >= this.#times.steadyAfter;
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
    const message = attempt(() => JSON.parse(data));
    if (typeof message?.type !== "string") return this.#lost(); // it isn't the server's
    this.#alive();
    this.#react(message);
  }

  #react(message) {
    switch (message.type) {
      case "ready":
        return this.#greeted(message);
      case "snapshot":
      case "update":
      case "events":
      case "gap":
        return this.#deliver(message);
      case "stale":
      case "fresh":
        this.#stale = message.type === "stale";
        this.#tellHealth();
        if (!this.#stale) this.#handlers.fresh?.();
        return;
      case "error":
        this.#handlers.error?.(message);
        return this.#declined(message);
    }
  }

  // The position first: whatever `receive` does, this message doesn't come again.
  #deliver(message) {
    const subscription = this.#subscriptions.get(message.id);
    if (!subscription) return; // it was ended while this was on its way
    if (message.position) subscription.topic = { ...subscription.topic, since: message.position };
    const wasMissing = subscription.missing;
    subscription.missing = false;
    try {
      subscription.receive(message);
    } finally {
      if (wasMissing) this.#tellHealth();
    }
  }

  // `retry_after_s` means not now. A key that is no good, or no good for this, only a new one
  // replaces; any other error is about one topic, or leaves the connection as it is.
  #declined(error) {
    const { id, code, message, retry_after_s } = error;
    const asked = this.#subscriptions.get(id);
    if (asked) asked.asked = false;
    if (retry_after_s !== undefined) {
      const later = bounded(retry_after_s * 1_000) + backoff(0, { random: this.#random });
      if (!this.#ready) this.#lost({ atLeast: later });
      else if (asked) this.#timers[`subscribe ${id}`] = setTimeout(() => this.#ask(id), later);
    } else if (rejectsKey(code)) {
      this.#refused(message);
    } else if (asked) {
      this.#subscriptions.delete(id);
      asked.receive(error);
      this.#tellHealth();
    }
  }

  #greeted(message) {
    clearTimeout(this.#timers.ready);
    this.#ready = true;
    this.#handlers.ready?.(message);
    for (const [id, subscription] of this.#subscriptions) {
      subscription.missing = true;
      this.#ask(id);
    }
    this.#tellHealth();
    this.#pingLater();
  }

  #ask(id) {
    const subscription = this.#subscriptions.get(id);
    subscription.asked = true;
    this.#send({ type: "subscribe", id, topic: subscription.topic });
  }

  #tellHealth() {
    if (!this.#ready) return;
    if (this.#stale) return this.#tell("stale");
    if ([...this.#subscriptions.values()].some(({ missing }) => missing)) return;
    this.#liveSince ??= performance.now();
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
    if (!this.#ready || this.#timers.pong) return;
    this.#send({ type: "ping" });
    this.#timers.pong = setTimeout(() => this.#lost(), this.#times.pongWithin);
  }

  #alive() {
    clearTimeout(this.#timers.pong);
    delete this.#timers.pong;
  }

  #send(message) {
    // While it closes (and `onclose` is to come) there is nobody to hear us.
    if (this.#socket.readyState === this.#WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  #tell(name, { retryAt = null, restarting = false } = {}) {
    this.state = { name, retryAt, restarting };
    this.#handlers.state?.(this.state);
  }
}
