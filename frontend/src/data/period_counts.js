import { Totals } from "./totals.js";

/**
 * The counts of a period: what the server read out, and what has come since. That is what a live
 * total has beyond the total of `ever` which was read in the same moment, so the sum is exact
 * whichever of the two comes first. A subject that an answer doesn't have was not in the period yet,
 * unless there were too many: what it has beyond its total before the query is its count.
 */
export class PeriodCounts {
  total = null;
  before;
  #totals = new Totals();
  #read = new Map();
  #sum = null;
  #base = new Map();
  #complete = false;
  #all = false;
  #ongoing = true;

  /** /v1/stats is about to be read. */
  beginReading() {
    this.#base = new Map(this.#totals.top(Infinity));
    this.#complete = this.#totals.total !== null && this.#totals.others === 0;
  }

  /** Its answer, to a query for `top`; only an `ongoing` period grows. */
  load(answer, ongoing, top = Infinity) {
    this.#read = new Map(answer.subjects.map((row) => [row.subject, row]));
    this.#sum = answer;
    this.#all = answer.subjects.length < top;
    this.#ongoing = ongoing;
    this.before = answer.before;
    this.#grow();
  }

  /** Another period is to be read; what is known live stays known. */
  forget() {
    this.total = this.#sum = null;
    this.#read.clear();
  }

  /** A message about the type's live totals; true if the period's counts grew by it. */
  receive({ type, totals, total }) {
    if (type === "snapshot") this.#totals.snapshot(totals, total);
    else if (type === "update") this.#totals.update(totals, total);
    return this.#sum !== null && this.#grow();
  }

  /** The `n` largest, as {subject, total, before, …}. */
  rows(n) {
    const rows = new Map(this.#read);
    if (this.#ongoing) for (const row of this.#grown()) rows.set(row.subject, row);
    return [...rows.values()]
      .sort((a, b) => b.total - a.total || (a.subject < b.subject ? -1 : 1))
      .slice(0, n);
  }

  /** A subject's count; undefined if it isn't known. */
  count(subject) {
    const row = this.#read.get(subject);
    if (row === undefined && !this.#all) return undefined;
    return (row?.total ?? 0) + (this.#ongoing ? this.#growth(subject, row) : 0);
  }

  #grow() {
    const before = this.total;
    this.total = this.#sum.total + (this.#ongoing ? beyond(this.#totals.total, this.#sum) : 0);
    return this.total !== before;
  }

  *#grown() {
    for (const [subject] of this.#totals.top(Infinity)) {
      const read = this.#read.get(subject);
      const growth = this.#growth(subject, read);
      if (growth > 0) yield { ...(read ?? { subject, total: 0 }), total: (read?.total ?? 0) + growth };
    }
  }

  #growth(subject, read) {
    const now = this.#totals.has(subject) ? this.#totals.count(subject) : null;
    if (read !== undefined) return beyond(now, read);
    return now === null ? 0 : now - (this.#base.get(subject) ?? (this.#complete ? 0 : now));
  }
}

// Without a period what was read is the total of ever.
function beyond(now, { total, ever = total }) {
  return now === null ? 0 : Math.max(0, now - ever);
}
