import { MINUTE_MS } from "../lib/time.js";
import { waitBeforeRetry } from "../sdk/base/backoff.js";
import { Failed } from "./api.js";

const TIMES = {
  // Spread, because everybody's minute ends at once.
  every: { least: MINUTE_MS, most: MINUTE_MS + 5_000 },
  quiet: { least: 2_000, most: 4_000 },
  betweenSettling: 10_000,
  longestRetry: MINUTE_MS,
};

/**
 * Reads something again and again: when told to, every minute, and when what has grown has come to
 * rest. The one loop of its kind: whatever the pages ask for more than once, they ask for with it.
 *
 *   read(signal)          asks
 *   take(answer)          gets the answer, unless a newer reading began meanwhile; may return in how
 *                         many milliseconds to read again
 *   failed(error, wait)   hears what went wrong, and in how many milliseconds it is tried again
 */
export class Poller {
  #read;
  #take;
  #failed;
  #times;
  #timer = null;
  #settling = null;
  #reading = null;
  #readAt = 0;
  #attempt = 0;

  constructor({ read, take = () => {}, failed = () => {}, times = {} }) {
    this.#read = read;
    this.#take = take;
    this.#failed = failed;
    this.#times = { ...TIMES, ...times };
  }

  /** Whether an answer is waited for. */
  get reading() {
    return this.#reading !== null;
  }

  stop() {
    this.#abandon();
    this.#attempt = 0;
  }

  /** Now is a good moment for what failed. */
  hurry() {
    if (this.#attempt > 0 && !this.reading) this.again();
  }

  /** Reads at once; what an unfinished reading brings would be older, so that is abandoned. */
  async again() {
    this.#abandon();
    const reading = (this.#reading = new AbortController());
    const overtaken = () => this.#reading !== reading;
    this.#readAt = Date.now();
    try {
      const answer = await this.#read(reading.signal);
      if (overtaken()) return;
      this.#attempt = 0;
      const wait = this.#take(answer) ?? between(this.#times.every);
      if (!overtaken()) this.#readIn(wait);
    } catch (error) {
      if (!overtaken()) this.#retry(error);
    }
  }

  /**
   * There is a live message, by which what was read `grew` or not: if it did, read it again when
   * that has come to rest. What comes during a reading may be in the answer or not, and may not be
   * shown at all: it is not kept waiting longer than that.
   */
  heard(grew) {
    if (!grew && !this.reading) return;
    clearTimeout(this.#settling);
    const apart = this.reading ? 0 : this.#times.betweenSettling - (Date.now() - this.#readAt);
    this.#settling = setTimeout(() => this.again(), Math.max(between(this.#times.quiet), apart));
  }

  #retry(error) {
    this.#abandon();
    if (!(error instanceof Failed)) throw error;
    if (error.rejectsKey) return;
    const wait = waitBeforeRetry(this.#attempt, error.response, { cap: this.#times.longestRetry });
    this.#attempt += 1;
    this.#readIn(wait);
    this.#failed(error, wait);
  }

  #readIn(wait) {
    this.#reading = null;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.again(), wait);
  }

  #abandon() {
    clearTimeout(this.#timer);
    clearTimeout(this.#settling);
    this.#reading?.abort();
    this.#reading = null;
  }
}

/** A time in a span: whoever waits for the same thing doesn't come back together. */
export function between({ least, most }) {
  return least + Math.random() * (most - least);
}
