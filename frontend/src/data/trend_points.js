import { BUCKETS_MS } from "../lib/time.js";

/**
 * The counts of a period, bucket by bucket: what the server read out, and until the next reading
 * the growth of the live total in the bucket of its time.
 */
export class TrendPoints {
  /** [{at, total}], oldest first. */
  all = [];
  bucket = "minute";
  #lastTotal = null;
  #ongoing = false;

  /** `answer` is /v1/stats's; only an `ongoing` period grows. */
  load({ bucket, series }, ongoing) {
    this.bucket = bucket;
    this.all = series.map(({ at, total }) => ({ at: Date.parse(at), total }));
    this.#ongoing = ongoing;
  }

  /** The points from then on, and as many of those before; null: all are of one time. */
  since(from) {
    const first = from === null ? 0 : Math.max(0, this.all.findIndex(({ at }) => at >= from));
    const points = this.all.slice(first);
    return { points, before: this.all.slice(0, first).slice(-points.length) };
  }

  /** Another type or time is to be read. */
  forget() {
    this.all = [];
  }

  /** A first total, or one after a gap: when it grew isn't known here. */
  restart(total) {
    this.#lastTotal = total;
  }

  /** The live total is this now; true if the points grew by it. */
  grow(total, now) {
    const growth = total - (this.#lastTotal ?? total);
    this.#lastTotal = total;
    if (growth <= 0 || !this.#ongoing || this.all.length === 0) return false;
    const step = BUCKETS_MS[this.bucket];
    while (this.all.at(-1).at + step <= now) {
      this.all.push({ at: this.all.at(-1).at + step, total: 0 });
    }
    this.all.at(-1).total += growth;
    return true;
  }
}
