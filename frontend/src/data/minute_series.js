import { MINUTE_MS, minuteOf } from "../lib/time.js";

/**
 * The counts of the last minutes of one type. What the server reads out replaces everything;
 * until the next reading the growth of the live total goes to the minute in which it was seen,
 * which can be wrong by what was on its way at that moment.
 */
export class MinuteSeries {
  loaded = false;
  #counts = new Map();
  #lastTotal = null;
  #length;

  constructor({ length = 60 } = {}) {
    this.#length = length;
  }

  /** The window to ask the server for, the minute under way included. */
  window(now) {
    const to = minuteOf(now) + MINUTE_MS;
    return { from: to - this.#length * MINUTE_MS, to };
  }

  load(series) {
    this.#counts = new Map(series.map(({ at, total }) => [minuteOf(Date.parse(at)), total]));
    this.loaded = true;
  }

  /** A first total, or one after a gap: in which minutes it grew isn't known here. */
  restart(total) {
    this.#lastTotal = total;
  }

  /** The live total is this now; true if the points grew by it. */
  grow(total, now) {
    const growth = total - (this.#lastTotal ?? total);
    this.#lastTotal = total;
    if (growth <= 0) return false;
    const minute = minuteOf(now);
    this.#counts.set(minute, (this.#counts.get(minute) ?? 0) + growth);
    this.#forgetBefore(this.window(now).from);
    return true;
  }

  /** One point for each minute of the window, the last one still growing. */
  points(now) {
    const { from } = this.window(now);
    return Array.from({ length: this.#length }, (_, i) => {
      const at = from + i * MINUTE_MS;
      return { at, total: this.#counts.get(at) ?? 0 };
    });
  }

  #forgetBefore(from) {
    for (const minute of this.#counts.keys()) {
      if (minute < from) this.#counts.delete(minute);
    }
  }
}
