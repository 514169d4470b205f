import { waitBeforeRetry } from "../sdk/base/backoff.js";
import { MINUTE_MS } from "./minute_series.js";

const ANSWER_WITHIN_MS = 10_000;
// A minute's last events are committed a moment after it ended; each span also spreads the
// viewers, who all see the minute end and the counts come to rest together.
const TIMES = {
  afterMinute: { least: 1_000, most: 4_000 },
  quiet: { least: 2_000, most: 4_000 },
  betweenSettling: 10_000,
};

/**
 * Keeps a MinuteSeries equal to `/v1/stats`: reads it when asked, after each minute, and once
 * the counts have come to rest, because what arrived during a reading may be in it or not.
 */
export class StatsReader {
  #type;
  #series;
  #clock;
  #key = null;
  #timer = null;
  #settleTimer = null;
  #reading = null;
  #readAt = 0;
  #attempt = 0;
  #changed;
  #refused;
  #fetch;
  #random;
  #times;

  constructor({
    type,
    series,
    clock,
    changed = () => {},
    refused = () => {},
    fetch = (...request) => globalThis.fetch(...request),
    random = Math.random,
    times = {},
  }) {
    this.#type = type;
    this.#series = series;
    this.#clock = clock;
    this.#changed = changed;
    this.#refused = refused;
    this.#fetch = fetch;
    this.#random = random;
    this.#times = { ...TIMES, ...times };
  }

  /** Null stops the reading. */
  useKey(key) {
    this.#key = key;
    this.#forgetPlans();
  }

  /** Reads at once; what an unfinished reading brings would be older, so that is given up. */
  read() {
    if (this.#key === null) return;
    this.#forgetPlans();
    this.#reading = new AbortController();
    this.#readAt = Date.now();
    this.#series.unsettled = false;
    return this.#finish(this.#key, this.#reading);
  }

  /** The series grew from live totals: read again when it has been quiet for a while. */
  grew() {
    if (!this.#series.unsettled) return;
    clearTimeout(this.#settleTimer);
    const sinceRead = Date.now() - this.#readAt;
    const wait = Math.max(this.#between(this.#times.quiet), this.#times.betweenSettling - sinceRead);
    this.#settleTimer = setTimeout(() => this.read(), wait);
  }

  #forgetPlans() {
    clearTimeout(this.#timer);
    clearTimeout(this.#settleTimer);
    this.#reading?.abort();
    this.#reading = null;
  }

  async #finish(key, reading) {
    const asked = this.#series.window(this.#clock.now());
    const answer = await this.#ask(key, reading, asked);
    if (this.#reading !== reading) return;
    this.#reading = null;
    const { response, body } = answer;
    if (response?.ok && Array.isArray(body?.series)) {
      this.#attempt = 0;
      this.#series.load(body.series);
      this.#clock.learn(response);
      const wrongHour = this.#series.window(this.#clock.now()).to !== asked.to;
      this.#readIn(wrongHour ? 0 : this.#untilNextMinute());
    } else if (response?.status === 401 || response?.status === 403) {
      this.#refused(body?.error?.message);
    } else {
      this.#readIn(waitBeforeRetry(this.#attempt, response, { cap: MINUTE_MS, random: this.#random }));
      this.#attempt += 1;
    }
    this.#changed();
  }

  async #ask(key, reading, { from, to }) {
    const query = new URLSearchParams({
      type: this.#type,
      from: new Date(from).toISOString(),
      to: new Date(to).toISOString(),
      bucket: "minute",
    });
    const signal = AbortSignal.any([reading.signal, AbortSignal.timeout(ANSWER_WITHIN_MS)]);
    try {
      const response = await this.#fetch(`/v1/stats?${query}`, {
        headers: { "x-api-key": key },
        cache: "no-store",
        signal,
      });
      return { response, body: await response.json().catch(() => null) };
    } catch {
      return { response: null, body: null };
    }
  }

  #readIn(delay) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.read(), delay);
  }

  #untilNextMinute() {
    const left = MINUTE_MS - (this.#clock.now() % MINUTE_MS);
    return left + this.#between(this.#times.afterMinute);
  }

  #between({ least, most }) {
    return least + this.#random() * (most - least);
  }
}
