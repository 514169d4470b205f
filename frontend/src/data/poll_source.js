import { Poller } from "./poller.js";

const MOST = 1_000;
const LONGEST_RETRY_MS = 15_000;

/**
 * Asks `/v1/stats` every few seconds: what there was before websockets. To be used in place of
 * `Live`: the same topics (totals only), messages and states, and `polling` beside them, whose
 * `retryAt` is when it asks next.
 */
export class PollSource {
  state = { name: "connecting", retryAt: null, restarting: false };
  #api;
  #handlers;
  #poller;
  #everyMs = 5_000;
  #started = false;
  #topics = new Map();
  #known = new Set();
  #lastId = 0;

  constructor({ api, handlers }) {
    this.#api = api;
    this.#handlers = handlers;
    this.#poller = new Poller({
      read: (signal) => this.#read(signal),
      take: (answers) => this.#take(answers),
      failed: ({ status }, wait) => this.#tell(status === 503 ? "stale" : "reconnecting", wait),
      times: { longestRetry: LONGEST_RETRY_MS },
    });
  }

  every(ms) {
    this.#everyMs = ms;
    if (this.#started && !this.#poller.reading) this.#poller.again();
  }

  subscribe(topic, receive) {
    const id = ++this.#lastId;
    this.#topics.set(id, { topic, receive });
    if (this.#started) this.#poller.again();
    return () => this.#topics.delete(id);
  }

  start() {
    this.stop();
    this.#started = true;
    this.#tell("connecting");
    this.#poller.again();
  }

  stop() {
    this.#started = false;
    this.#poller.stop();
    this.#known.clear();
  }

  hurry() {
    this.#poller.hurry();
  }

  #read(signal) {
    const asking = [...this.#topics].map(async ([id, { topic }]) => {
      return [id, await this.#api.stats({ type: topic.totals, top: MOST }, signal)];
    });
    return Promise.all(asking);
  }

  #take(answers) {
    for (const [id, answer] of answers) this.#deliver(id, answer);
    this.#tell("polling", this.#everyMs);
    return this.#everyMs;
  }

  #deliver(id, { total, subjects }) {
    const subscription = this.#topics.get(id);
    if (!subscription) return; // it was ended while this was asked for
    const totals = Object.fromEntries(subjects.map(({ subject, total }) => [subject, total]));
    const type = this.#known.has(id) ? "update" : "snapshot";
    this.#known.add(id);
    subscription.receive({ type, totals, total });
  }

  #tell(name, wait = null) {
    const retryAt = wait === null ? null : Date.now() + wait;
    this.state = { name, retryAt, restarting: false };
    this.#handlers.state(this.state);
  }
}
