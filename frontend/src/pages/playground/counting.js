import { Store } from "../../sdk/send/store.js";
import { Tracker } from "../../sdk/send/track.js";

// Promise 3: what is on disk is shown within this time, or the promise of a number was wrong.
const SHOWN_WITHIN_MS = 2_000;

/**
 * What this page counts itself. While `promises()` says so a count is shown at once, and taken back
 * when that was not kept: rejected, dropped, or long on disk and not shown.
 */
export class Counting {
  #panels;
  #promises;
  #changed;
  #tracker;
  #late = null;
  #lost = 0;

  constructor({ panels, promises, changed, rejected }) {
    this.#panels = panels;
    this.#promises = promises;
    this.#changed = changed;
    const openStore = (to) => new Store(to);
    this.#tracker = new Tracker({ changed: () => this.#reconcile(), refused: rejected, openStore });
  }

  /** What is not confirmed yet, and what was not counted. */
  get state() {
    return this.#tracker.state();
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
    this.#tracker.leave((url, text) => navigator.sendBeacon(url, text));
  }

  comeBack() {
    this.#tracker.comeBack();
  }

  hurry() {
    this.#tracker.hurry();
  }

  #reconcile() {
    const { unconfirmed, dropped, rejected } = this.state;
    const lost = dropped + rejected.count;
    if (lost > this.#lost) this.withdraw();
    this.#lost = lost;
    clearTimeout(this.#late);
    if (unconfirmed === 0) this.#late = setTimeout(() => this.#withdrawLate(), SHOWN_WITHIN_MS);
    this.#changed();
  }

  #withdrawLate() {
    if (this.state.unconfirmed === 0) this.withdraw();
  }
}
