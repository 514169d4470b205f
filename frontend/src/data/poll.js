import { waitBeforeRetry } from "../sdk/base/backoff.js";

const ANSWER_WITHIN_MS = 10_000;
const MOST = 1_000;

/**
 * Asks `/v1/stats` every few seconds: what there was before websockets. To be used in place of
 * `Live`: the same topics (totals only), messages and states, and `polling` beside them, whose
 * `retryAt` is when it asks next.
 */
export class Poll {
  state = { name: "connecting", retryAt: null, restarting: false };
  #handlers;
  #fetch;
  #everyMs = 5_000;
  #key = null;
  #topics = new Map();
  #known = new Set();
  #lastId = 0;
  #attempt = 0;
  #timer = null;
  #asking = null;

  constructor({ handlers, fetch = (...request) => globalThis.fetch(...request) }) {
    this.#handlers = handlers;
    this.#fetch = fetch;
  }

  every(ms) {
    this.#everyMs = ms;
    if (this.#key !== null && this.#asking === null) this.#askIn(0);
  }

  subscribe(topic, receive) {
    const id = ++this.#lastId;
    this.#topics.set(id, { topic, receive });
    if (this.#key !== null) this.#askIn(0);
    return () => this.#topics.delete(id);
  }

  start(key) {
    this.stop();
    this.#key = key;
    this.#tell("connecting");
    this.#askIn(0);
  }

  stop() {
    clearTimeout(this.#timer);
    this.#asking?.abort();
    this.#asking = null;
    this.#key = null;
    this.#known.clear();
    this.#attempt = 0;
  }

  hurry() {
    if (this.#key !== null && this.#asking === null && this.#attempt > 0) this.#askIn(0);
  }

  #askIn(ms) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#round(), ms);
  }

  async #round() {
    this.#asking?.abort();
    const asking = (this.#asking = new AbortController());
    const topics = [...this.#topics];
    const answers = await Promise.all(topics.map(([, { topic }]) => this.#ask(topic, asking)));
    if (this.#asking !== asking) return;
    this.#asking = null;
    const wrong = answers.find(({ body }) => body?.subjects === undefined);
    if (wrong) return this.#failed(wrong);
    this.#attempt = 0;
    topics.forEach(([id, { receive }], i) => this.#deliver(id, receive, answers[i].body));
    this.#plan("polling", this.#everyMs);
  }

  async #ask({ totals }, { signal }) {
    const query = new URLSearchParams({ type: totals, top: MOST });
    try {
      const response = await this.#fetch(`/v1/stats?${query}`, {
        headers: { "x-api-key": this.#key },
        cache: "no-store",
        signal: AbortSignal.any([signal, AbortSignal.timeout(ANSWER_WITHIN_MS)]),
      });
      return { response, body: await response.json().catch(() => null) };
    } catch {
      return { response: null, body: null };
    }
  }

  #deliver(id, receive, { total, subjects }) {
    if (!this.#topics.has(id)) return;
    const totals = Object.fromEntries(subjects.map(({ subject, total }) => [subject, total]));
    receive({ type: this.#known.has(id) ? "update" : "snapshot", totals, total });
    this.#known.add(id);
  }

  #failed({ response, body }) {
    if (response?.status === 401 || response?.status === 403) {
      this.stop();
      this.#tell("refused");
      return this.#handlers.refused(body?.error?.message);
    }
    const wait = waitBeforeRetry(this.#attempt, response);
    this.#attempt += 1;
    this.#plan(response?.status === 503 ? "stale" : "reconnecting", wait);
  }

  #plan(name, wait) {
    this.#askIn(wait);
    this.#tell(name, Date.now() + wait);
  }

  #tell(name, retryAt = null) {
    this.state = { name, retryAt, restarting: false };
    this.#handlers.state(this.state);
  }
}
