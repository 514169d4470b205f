/**
 * Totals with what this page has just counted itself, before the server has said so. For each
 * subject it keeps a floor, the number that the reader was promised: shown is whichever is larger,
 * the server's count or the floor. So a number never steps back when an older frame comes, and
 * never counts twice when a newer one does. A floor is gone when the server has reached it and that
 * was drawn, or when it is withdrawn: then the server's number is the truth again, whatever was
 * promised.
 */
export class Optimistic {
  #totals;
  #floors = new Map();
  #whole = null;
  #changed = new Set();

  constructor(totals) {
    this.#totals = totals;
  }

  /** One more of this subject. Of a count that isn't known nothing can be promised. */
  expect(subject) {
    const known = this.count(subject);
    if (known === null) return;
    this.#floors.set(subject, known + 1);
    this.#whole = this.total + 1;
    this.#changed.add(subject);
  }

  withdraw() {
    for (const subject of this.#floors.keys()) this.#changed.add(subject);
    this.#floors.clear();
    this.#whole = null;
  }

  get total() {
    const { total } = this.#totals;
    return total === null ? null : Math.max(total, this.#whole ?? 0);
  }

  count(subject) {
    const count = this.#totals.count(subject);
    return count === null ? null : Math.max(count, this.#floors.get(subject) ?? 0);
  }

  has(subject) {
    return this.#totals.has(subject) || this.#floors.has(subject);
  }

  top(n) {
    if (this.#floors.size === 0) return this.#totals.top(n);
    const counts = new Map(this.#totals.top(n + this.#floors.size));
    for (const subject of this.#floors.keys()) counts.set(subject, this.count(subject) ?? 0);
    return [...counts].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1)).slice(0, n);
  }

  takeChanged() {
    this.#forgetReached();
    const changed = new Set([...this.#totals.takeChanged(), ...this.#changed]);
    this.#changed.clear();
    return changed;
  }

  #forgetReached() {
    for (const [subject, floor] of this.#floors) {
      if (this.#totals.count(subject) >= floor) this.#floors.delete(subject);
    }
    if (this.#totals.total >= this.#whole) this.#whole = null;
  }
}
