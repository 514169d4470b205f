import { median } from "d3-array";

const KEPT = 50;
const LONGEST_MS = 60_000;

/**
 * How long it takes from a click to the picture of its count: from the browser's own time of the
 * click until after the frame in which the count had grown by it. On a page that many use, somebody
 * else's click on the same colour can end a measurement a little early.
 */
export class Stopwatch {
  #times = new Map();
  #running = [];

  /** A click at `at` (performance.now()), on a subject that shows `count` with `earlier` to come. */
  start(subject, count, at) {
    if (count === null) return;
    const earlier = this.#running.filter((click) => click.subject === subject);
    const shows = Math.max(count, ...earlier.map((click) => click.shows)) + 1;
    this.#running.push({ subject, shows, at });
  }

  /** The page shows these counts now: the clicks that are in them, to hand to `stop`. */
  arrived(countOf) {
    if (this.#running.length === 0) return [];
    const arrived = this.#running.filter(({ subject, shows }) => countOf(subject) >= shows);
    this.#running = this.#running.filter((click) => !arrived.includes(click));
    return arrived;
  }

  /** Those were on the screen at `now`. */
  stop(way, clicks, now) {
    const times = this.#times.get(way) ?? [];
    const measured = clicks.map(({ at }) => now - at).filter((ms) => ms >= 0 && ms < LONGEST_MS);
    this.#times.set(way, [...times, ...measured].slice(-KEPT));
  }

  /** What is in flight was counted in another way. */
  abandon() {
    this.#running = [];
  }

  /** {n, last, median} of a way, in milliseconds; null before the first. */
  of(way) {
    const times = this.#times.get(way) ?? [];
    if (times.length === 0) return null;
    return { n: times.length, last: times.at(-1), median: median(times) };
  }
}
