/** Events a second from absolute counts, over the last `windowMs` at most. */
export class Rates {
  #windowMs;
  #seen = new Map();

  constructor(windowMs = 5_000) {
    this.#windowMs = windowMs;
  }

  clear() {
    this.#seen.clear();
  }

  /** The count of `name` was `n` at `now` (milliseconds). */
  note(name, n, now) {
    const seen = this.#seen.get(name) ?? [];
    seen.push([now, n]);
    // One from before the window is what the first in it is compared with.
    while (seen.length > 2 && seen[1][0] <= now - this.#windowMs) seen.shift();
    this.#seen.set(name, seen);
  }

  of(name, now) {
    const seen = this.#seen.get(name);
    if (!seen || seen.length < 2) return 0;
    const since = now - this.#windowMs;
    if (seen.at(-1)[0] <= since) return 0;
    const first = seen.findLast(([at]) => at <= since) ?? seen[0];
    return ((seen.at(-1)[1] - first[1]) * 1_000) / Math.max(1_000, Math.min(now - first[0], this.#windowMs));
  }
}
