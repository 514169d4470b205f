/**
 * The totals of one type, as the live connection tells them: absolute values, so a lost or
 * doubled frame leaves nothing behind. `total` is null until the first snapshot.
 */
export class Totals {
  total = null;
  #counts = new Map();
  #sum = 0;
  #changed = new Set();
  #complete = false;
  #limit;

  // A snapshot brings 1,000 subjects at most, but updates bring new ones for ever.
  constructor({ limit = 2_000 } = {}) {
    this.#limit = limit;
  }

  snapshot(totals, total) {
    for (const subject of this.#counts.keys()) this.#changed.add(subject);
    this.#counts.clear();
    this.#sum = 0;
    this.update(totals, total);
    this.#complete = this.others === 0;
  }

  update(totals, total) {
    for (const [subject, count] of Object.entries(totals)) {
      this.#sum += count - (this.#counts.get(subject) ?? 0);
      this.#counts.set(subject, count);
      this.#changed.add(subject);
    }
    this.total = total;
    if (this.#counts.size > this.#limit) this.#forgetSmallest();
  }

  /** Null where it isn't known: an absent subject is zero only if nothing was left out. */
  count(subject) {
    return this.#counts.get(subject) ?? (this.#complete ? 0 : null);
  }

  has(subject) {
    return this.#counts.has(subject);
  }

  /** What the total holds beyond the subjects known here. */
  get others() {
    return Math.max(0, (this.total ?? 0) - this.#sum);
  }

  /** [subject, count] of the largest, equal ones by name so that they don't swap places. */
  top(n) {
    return [...this.#counts]
      .filter(([, count]) => count > 0)
      .sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1))
      .slice(0, n);
  }

  /** The subjects that changed since this was last asked. */
  takeChanged() {
    const changed = this.#changed;
    this.#changed = new Set();
    return changed;
  }

  // Half at a time, so that a stream of new subjects isn't sorted at every frame. Nothing is
  // lost: the total keeps them, and their next update is absolute.
  #forgetSmallest() {
    const kept = new Map(this.top(this.#limit / 2));
    for (const [subject, count] of this.#counts) {
      if (kept.has(subject)) continue;
      this.#sum -= count;
      this.#changed.add(subject);
    }
    this.#counts = kept;
    this.#complete = false;
  }
}
