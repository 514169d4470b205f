import { Totals } from "./totals.js";

/**
 * The counts of a period: what the server read out, and what has come since. Live totals are those
 * of ever, so only their growth since the reading counts; what was on its way just then may be in
 * both until the next reading, which comes once it is quiet.
 */
export class PeriodCounts {
  total = null;
  before;
  #totals = new Totals();
  #read = new Map();
  #base = new Map();
  #baseTotal = 0;
  #readTotal = 0;
  #ongoing = true;
  #complete = false;

  /** `answer` is /v1/stats's; only an `ongoing` period grows. */
  load({ total, before, subjects }, ongoing) {
    this.#read = new Map(subjects.map((row) => [row.subject, row]));
    this.#readTotal = this.total = total;
    this.before = before;
    this.#ongoing = ongoing;
    this.#base = new Map(this.#totals.top(Infinity));
    this.#complete = this.#totals.total !== null && this.#totals.others === 0;
    this.#baseTotal = this.#totals.total;
  }

  /** Another period is to be read; what is known live stays known. */
  forget() {
    this.total = null;
    this.#read.clear();
    this.#baseTotal = null;
  }

  /** A message about the type's live totals; true if the period's counts grew by it. */
  take({ type, totals, total }) {
    if (type === "snapshot") this.#totals.snapshot(totals, total);
    else if (type === "update") this.#totals.update(totals, total);
    if (this.total === null || this.#baseTotal === null || !this.#ongoing) return false;
    const grown = this.#readTotal + Math.max(0, this.#totals.total - this.#baseTotal);
    const grew = grown !== this.total;
    this.total = grown;
    return grew;
  }

  /** The `n` largest, as {subject, total, before, …}. */
  rows(n) {
    const rows = new Map(this.#read);
    if (this.#ongoing) for (const row of this.#grown()) rows.set(row.subject, row);
    return [...rows.values()]
      .sort((a, b) => b.total - a.total || (a.subject < b.subject ? -1 : 1))
      .slice(0, n);
  }

  *#grown() {
    if (this.#baseTotal === null) return;
    for (const [subject, count] of this.#totals.top(Infinity)) {
      const growth = count - (this.#base.get(subject) ?? (this.#complete ? 0 : count));
      if (growth <= 0) continue;
      const read = this.#read.get(subject) ?? { subject, total: 0 };
      yield { ...read, total: read.total + growth };
    }
  }
}
