import { rejectsKey } from "../../sdk/send/answer.js";
import { openStore } from "../../sdk/send/store.js";
import { createTracker } from "../../sdk/send/track.js";

// Promise 3: what is on disk is shown within this time, or the promise of a number was wrong.
const SHOWN_WITHIN_MS = 2_000;
const SLOW_AFTER_MS = 2_000;

/**
 * What this page counts itself. While `promises()` says so a count is shown at once, and taken back
 * when that was not kept: rejected, dropped, or long on disk and not shown.
 */
export class Counting {
  #panels;
  #promises;
  #changed;
  #keyRejected;
  #tracker;
  #retrying = false;
  #slow = false;
  #dropped = 0;
  #rejected = { count: 0, message: "" };
  #late = null;

  constructor({ panels, promises, changed, rejected }) {
    this.#panels = panels;
    this.#promises = promises;
    this.#changed = changed;
    this.#keyRejected = rejected;
    this.#tracker = createTracker({
      server: "/",
      openStore,
      fetch: (...request) => this.#fetch(...request),
      changed: (again) => this.#reconcile(again),
      report: (error) => this.#note(error),
    });
  }

  /** What is not confirmed yet, and what was not counted. */
  get state() {
    return {
      unconfirmed: this.#tracker.unconfirmed().length,
      dropped: this.#dropped,
      rejected: this.#rejected,
      retrying: this.#retrying,
      slow: this.#slow,
    };
  }

  useKey(key) {
    this.#tracker.useKey(key);
  }

  count(type, subject) {
    const promised = this.#promises() ? this.#panels.filter((panel) => panel.type === type) : [];
    for (const panel of promised) panel.shown.expect(subject);
    this.#tracker.track(type, subject);
    if (promised.length > 0) this.#changed();
  }

  /** Only what the server has told is shown. */
  withdraw() {
    for (const { shown } of this.#panels) shown.withdraw();
    this.#changed();
  }

  leave() {
    this.#tracker.leave(true);
  }

  hurry() {
    this.#tracker.hurry();
  }

  async #fetch(...request) {
    const overdue = setTimeout(() => {
      this.#slow = true;
      this.#changed();
    }, SLOW_AFTER_MS);
    try {
      return await fetch(...request);
    } finally {
      clearTimeout(overdue);
      this.#slow = false;
    }
  }

  #note({ code, message, events }) {
    if (rejectsKey(code)) return this.#keyRejected(message);
    if (events.length === 0) return;
    if (code === "queue_full") this.#dropped += events.length;
    else this.#rejected = { count: this.#rejected.count + events.length, message };
    this.withdraw();
  }

  #reconcile(again) {
    this.#retrying = again;
    clearTimeout(this.#late);
    const confirmed = this.state.unconfirmed === 0;
    if (confirmed) this.#late = setTimeout(() => this.#withdrawLate(), SHOWN_WITHIN_MS);
    this.#changed();
  }

  #withdrawLate() {
    if (this.state.unconfirmed === 0) this.withdraw();
  }
}
