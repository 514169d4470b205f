import { waitBeforeRetry } from "../sdk/base/backoff.js";
import { MINUTE_MS } from "./minute_series.js";

const ANSWER_WITHIN_MS = 15_000;
// Spread, because everybody's minute ends at once.
const TIMES = {
  every: { least: MINUTE_MS, most: MINUTE_MS + 5_000 },
  quiet: { least: 2_000, most: 4_000 },
  betweenSettling: 10_000,
};

/** Asks the API with a key: the answer's body. Throws `Failed` with what was wrong. */
export async function ask(path, parameters, key, signal = AbortSignal.timeout(ANSWER_WITHIN_MS)) {
  const given = Object.entries(parameters).filter(([, value]) => value !== undefined);
  const response = await fetch(`${path}?${new URLSearchParams(given)}`, {
    headers: { "x-api-key": key },
    cache: "no-store",
    signal,
  }).catch(() => null);
  const body = await response?.json().catch(() => null);
  if (!response?.ok || !body) throw new Failed(response, body?.error?.message);
  return body;
}

export class Failed extends Error {
  constructor(response, message) {
    super(message ?? "The server can't be reached.");
    this.response = response;
  }

  get refusesKey() {
    return this.response?.status === 401 || this.response?.status === 403;
  }

  /** Asking the same again won't help. */
  get final() {
    return this.response?.status === 400 || this.response?.status === 422;
  }
}

/**
 * Reads something again and again: at once when told to, every minute, and when what has grown has
 * come to rest. `read(signal)` does the asking; `failed(error)` hears of what goes wrong.
 */
export class Reader {
  #read;
  #failed;
  #timer = null;
  #settling = null;
  #reading = null;
  #readAt = 0;
  #attempt = 0;
  #times;

  constructor({ read, failed, times = {} }) {
    this.#read = read;
    this.#failed = failed;
    this.#times = { ...TIMES, ...times };
  }

  stop() {
    clearTimeout(this.#timer);
    clearTimeout(this.#settling);
    this.#reading?.abort();
    this.#reading = null;
  }

  async again() {
    this.stop();
    const reading = (this.#reading = new AbortController());
    this.#readAt = Date.now();
    const within = AbortSignal.any([reading.signal, AbortSignal.timeout(ANSWER_WITHIN_MS)]);
    try {
      await this.#read(within, () => this.#reading === reading);
      if (this.#reading === reading) {
        this.#reading = null;
        this.#next(between(this.#times.every));
      }
      this.#attempt = 0;
    } catch (error) {
      if (this.#reading === reading) this.#lost(error);
    }
  }

  /**
   * There is a live message, by which what was read `grew` or not: if it did, read it again when
   * that has come to rest. What comes during a reading may be in the answer or not, and may not be
   * shown at all: it is not kept waiting longer than that.
   */
  heard(grew) {
    const reading = this.#reading !== null;
    if (!grew && !reading) return;
    clearTimeout(this.#settling);
    const apart = reading ? 0 : this.#times.betweenSettling - (Date.now() - this.#readAt);
    this.#settling = setTimeout(() => this.again(), Math.max(between(this.#times.quiet), apart));
  }

  #lost(error) {
    this.#reading = null;
    if (!(error instanceof Failed)) throw error;
    this.#failed(error);
    if (error.refusesKey || error.final) return this.stop();
    this.#next(waitBeforeRetry(this.#attempt, error.response, { cap: MINUTE_MS }));
    this.#attempt += 1;
  }

  #next(wait) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.again(), wait);
  }
}

function between({ least, most }) {
  return least + Math.random() * (most - least);
}
