import { waitBeforeRetry } from "./backoff.js";
import { Outbox } from "./outbox.js";

const EVENTS_URL = "/v1/events";
const ANSWER_WITHIN_MS = 15_000;
const SLOW_AFTER_MS = 2_000;
// Browsers allow 64 KiB of beacons at a time; 400 of our events are under 40 KiB.
const EVENTS_A_BEACON = 400;

/**
 * Sends events: gathered for a moment, one request at a time, and again with the same ids until
 * the server has answered. `changed()` is called whenever `state()` would say something new.
 */
export class Tracker {
  #outbox;
  #key = null;
  #gatherMs;
  #fetch;
  #backoff;
  #timer = null;
  #sending = false;
  #slow = false;
  #slowAfterMs;
  #attempt = 0;
  #unreachable = false;
  #rejected = { count: 0, message: "" };
  #changed;
  #refused;

  constructor({
    changed = () => {},
    refused = () => {},
    fetch = (...request) => globalThis.fetch(...request),
    outbox = new Outbox(),
    gatherMs = 100,
    slowAfterMs = SLOW_AFTER_MS,
    backoff = {},
  } = {}) {
    this.#changed = changed;
    this.#refused = refused;
    this.#fetch = fetch;
    this.#outbox = outbox;
    this.#gatherMs = gatherMs;
    this.#slowAfterMs = slowAfterMs;
    this.#backoff = backoff;
  }

  /** Null holds the events back until there is a key. */
  useKey(key) {
    this.#key = key;
    this.#sendIn(0);
  }

  track(type, subject) {
    this.#keep({ id: eventId(), type, subject });
  }

  /** Events that an earlier page could not confirm, with the ids they had. */
  resume(events) {
    for (const event of events) this.#keep(event);
  }

  /** Don't gather any longer. A server that said when to come back is still not asked earlier. */
  hurry() {
    if (this.#attempt === 0 || this.#unreachable) this.#sendIn(0);
  }

  /**
   * The page goes away: beacons carry what is unconfirmed, and the caller gets the same events
   * to keep, because nobody learns what became of a beacon. Their ids make sending both safe.
   */
  leave(sendBeacon) {
    const events = this.#outbox.unconfirmed();
    if (this.#key === null) return events;
    const url = `${EVENTS_URL}?api_key=${encodeURIComponent(this.#key)}`;
    for (let i = 0; i < events.length; i += EVENTS_A_BEACON) {
      if (!sendBeacon(url, JSON.stringify(events.slice(i, i + EVENTS_A_BEACON)))) break;
    }
    return events;
  }

  state() {
    return {
      unconfirmed: this.#outbox.size,
      dropped: this.#outbox.dropped,
      rejected: this.#rejected,
      retrying: this.#attempt > 0,
      slow: this.#slow,
    };
  }

  #keep(event) {
    if (!this.#outbox.add(event)) this.#changed();
    if (this.#timer === null && !this.#sending) this.#sendIn(this.#gatherMs);
  }

  #sendIn(delay) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#send();
    }, delay);
  }

  async #send() {
    if (this.#sending || this.#key === null) return;
    const batch = this.#outbox.take();
    if (batch.length === 0) return;
    this.#sending = true;
    const overdue = setTimeout(() => this.#noteSlow(), this.#slowAfterMs);
    const answer = await this.#post(this.#key, batch);
    clearTimeout(overdue);
    this.#sending = this.#slow = false;
    this.#settle(answer, batch);
    if (this.#outbox.size > 0 && this.#timer === null) this.#sendIn(0);
    this.#changed();
  }

  #noteSlow() {
    this.#slow = true;
    this.#changed();
  }

  async #post(key, batch) {
    try {
      const response = await this.#fetch(EVENTS_URL, {
        method: "POST",
        headers: { "content-type": "application/json", "x-api-key": key },
        body: JSON.stringify(batch),
        signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
      });
      return { key, response, body: await response.json().catch(() => ({})) };
    } catch {
      return { key, response: null, body: {} };
    }
  }

  #settle({ key, response, body }, batch) {
    const status = response?.status;
    this.#unreachable = response === null;
    if (this.#unreachable || status === 429 || status >= 500) {
      this.#outbox.putBack();
      this.#sendIn(waitBeforeRetry(this.#attempt, response, this.#backoff));
      this.#attempt += 1;
      return;
    }
    this.#attempt = 0;
    if (status === 401 || status === 403) {
      this.#outbox.putBack();
      if (key === this.#key) this.#refuse(body);
      return;
    }
    this.#outbox.confirm();
    this.#noteRejected(status, body, batch);
  }

  #refuse(body) {
    this.#key = null;
    this.#refused(body.error?.message);
  }

  // 422 lists what was wrong with each event; any other 4xx refused the request as a whole.
  #noteRejected(status, body, batch) {
    const refusedWhole = status >= 400 && !body.rejected;
    const count = refusedWhole ? batch.length : (body.rejected?.length ?? 0);
    if (count === 0) return;
    const error = refusedWhole ? body.error : body.rejected[0].error;
    this.#rejected = {
      count: this.#rejected.count + count,
      message: error?.message ?? `status ${status}`,
    };
  }
}

/** A random UUID; `crypto.randomUUID` is missing on plain http from another machine. */
export function eventId(crypto = globalThis.crypto) {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
