import { waitBeforeRetry } from "./backoff.js";
import { MINUTE_MS } from "./series.js";

const ANSWER_WITHIN_MS = 10_000;
// A minute's last events are committed a moment after it ended; the rest spreads the viewers out.
const AFTER_THE_MINUTE_MS = { least: 1_000, most: 4_000 };
const QUIET_MS = { least: 2_000, most: 4_000 };
const SETTLE_EVERY_MS = 10_000;

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

  constructor({
    type,
    series,
    clock,
    changed = () => {},
    refused = () => {},
    fetch = (...request) => globalThis.fetch(...request),
    random = Math.random,
  }) {
    this.#type = type;
    this.#series = series;
    this.#clock = clock;
    this.#changed = changed;
    this.#refused = refused;
    this.#fetch = fetch;
    this.#random = random;
  }

  useKey(key) {
    this.#key = key;
  }

  /** Reads at once; what an unfinished reading brings would be older, so that is given up. */
  read() {
    if (this.#key === null) return;
    clearTimeout(this.#timer);
    clearTimeout(this.#settleTimer);
    this.#reading?.abort();
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
    const wait = Math.max(this.#between(QUIET_MS), SETTLE_EVERY_MS - sinceRead);
    this.#settleTimer = setTimeout(() => this.read(), wait);
  }

  async #finish(key, reading) {
    const answer = await this.#ask(key, reading);
    if (this.#reading !== reading) return;
    this.#reading = null;
    const { response, body } = answer;
    if (response?.ok && Array.isArray(body?.series)) {
      this.#attempt = 0;
      this.#clock.learn(response);
      this.#series.load(body.series);
      this.#readIn(this.#untilNextMinute());
    } else if (response?.status === 401 || response?.status === 403) {
      this.#refused(body?.error?.message);
    } else {
      this.#readIn(waitBeforeRetry(this.#attempt, response, { cap: MINUTE_MS, random: this.#random }));
      this.#attempt += 1;
    }
    this.#changed();
  }

  async #ask(key, reading) {
    const { from, to } = this.#series.window(this.#clock.now());
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
    return left + this.#between(AFTER_THE_MINUTE_MS);
  }

  #between({ least, most }) {
    return least + this.#random() * (most - least);
  }
}
