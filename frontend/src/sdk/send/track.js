import { waitBeforeRetry } from "../base/backoff.js";
import { newId } from "../base/id.js";
import { Outbox } from "./outbox.js";

const ANSWER_WITHIN_MS = 15_000;
const SLOW_AFTER_MS = 2_000;
// Browsers allow 64 KiB of beacons at a time, all together.
const BEACON_BYTES = 60_000;
// The server knows an id for 24 h at least: an older event might count a second time.
const SEND_WITHIN_MS = 23 * 3_600_000;

const isTooOld = ({ occurred_at }) => Date.now() - Date.parse(occurred_at) > SEND_WITHIN_MS;

/**
 * Sends events: gathered for a moment, one request at a time, and again with the same ids until
 * the server has answered. Until then they are in the store too, if there is one.
 *
 *   changed()       `state()` would say something new
 *   refused(text)   the key is no good: nothing is sent until `useKey`
 *   report(error)   {code, message, events}: these were not counted, and never will be
 */
export class Tracker {
  #url;
  #outbox;
  #openStore;
  #store = null;
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
  #report;

  constructor({
    server = "/",
    changed = () => {},
    refused = () => {},
    report = () => {},
    fetch = (...request) => globalThis.fetch(...request),
    outbox = new Outbox(),
    openStore = () => null,
    gatherMs = 100,
    slowAfterMs = SLOW_AFTER_MS,
    backoff = {},
  } = {}) {
    this.#url = `${server}v1/events`;
    this.#changed = changed;
    this.#refused = refused;
    this.#report = report;
    this.#fetch = fetch;
    this.#outbox = outbox;
    this.#openStore = openStore;
    this.#gatherMs = gatherMs;
    this.#slowAfterMs = slowAfterMs;
    this.#backoff = backoff;
  }

  /** Null holds the events back until there is a key. */
  useKey(key) {
    this.#key = key;
    if (key !== null) this.#moveStore(this.#openStore(`${this.#url} ${key}`));
    this.#sendIn(0);
  }

  /** `more` is what else an event may have: session, properties. Returns the event's id. */
  track(type, subject, more = {}) {
    const event = { id: newId(), type, subject, occurred_at: new Date().toISOString(), ...more };
    if (this.#outbox.add(event)) {
      this.#store?.keep(event);
      this.#sendSoon();
    } else {
      this.#report({ code: "queue_full", message: "Too many events wait.", events: [event] });
      this.#changed();
    }
    return event.id;
  }

  /** Don't gather any longer. A server that said when to come back is still not asked earlier. */
  hurry() {
    this.#adopt();
    if (this.#attempt === 0 || this.#unreachable) this.#sendIn(0);
  }

  /**
   * The page goes away: beacons carry what is unconfirmed, as much as the browser takes, and first
   * what is newest: it may not be on disk yet. The store keeps it all, because nobody learns what
   * became of a beacon. The ids make sending both safe.
   */
  leave(sendBeacon) {
    this.#store?.release();
    if (this.#key === null) return;
    const url = `${this.#url}?api_key=${encodeURIComponent(this.#key)}`;
    for (const events of this.#outbox.inPortions(BEACON_BYTES)) {
      if (!sendBeacon(url, JSON.stringify(events))) break;
    }
  }

  /** The page that went away is shown again. */
  comeBack() {
    this.#store?.hold();
    this.hurry();
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

  #moveStore(store) {
    const unconfirmed = this.#outbox.unconfirmed();
    this.#store?.forget(unconfirmed);
    this.#store?.release();
    this.#store = store;
    for (const event of unconfirmed) store?.keep(event);
    this.#adopt();
  }

  /** Events that earlier pages, or tabs closed since, could not confirm, with the ids they had. */
  async #adopt() {
    const found = await this.#store?.adopt(this.#outbox.room, isTooOld);
    if (!found) return;
    this.#tooOld(found.tooOld);
    this.#outbox.restore(found.adopted);
    if (found.adopted.length > 0) this.#sendSoon();
  }

  #tooOld(events) {
    if (events.length === 0) return;
    this.#store?.forget(events);
    this.#report({ code: "expired", message: "They could not be sent for 23 hours.", events });
  }

  #sendSoon() {
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
    this.#tooOld(this.#outbox.discard(isTooOld));
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
      const response = await this.#fetch(this.#url, {
        method: "POST",
        headers: { "content-type": "application/json", "x-api-key": key },
        body: JSON.stringify(batch),
        credentials: "omit",
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
    if (this.#unreachable || status === 408 || status === 429 || status >= 500) {
      this.#outbox.putBack();
      this.#sendIn(waitBeforeRetry(this.#attempt, response, this.#backoff));
      this.#attempt += 1;
      return;
    }
    this.#attempt = 0;
    if (status === 401 || status === 403) {
      this.#outbox.putBack();
      if (key === this.#key) this.#refuse(body);
    } else if (status >= 400 && !body.rejected?.length && batch.length > 1) {
      // Too large for something on the way, or one event made it no JSON: the others are to count.
      this.#outbox.shrink();
    } else {
      this.#outbox.confirm();
      this.#store?.forget(batch);
      this.#noteRejected(status, body, batch);
    }
  }

  #refuse({ error }) {
    this.#key = null;
    this.#report({ code: "key_refused", ...error, events: [] });
    this.#refused(error?.message);
  }

  // 422 lists what was wrong with each event; any other 4xx is about the one that was sent alone.
  #noteRejected(status, body, batch) {
    const error = { code: "refused", message: `status ${status}`, ...body.error };
    const listed = body.rejected ?? [];
    const rejected = status >= 400 && listed.length === 0 ? [{ index: 0, error }] : listed;
    if (rejected.length === 0) return;
    this.#rejected = {
      count: this.#rejected.count + rejected.length,
      message: rejected[0].error.message,
    };
    for (const { index, error } of rejected) this.#report({ ...error, events: [batch[index]] });
  }
}
