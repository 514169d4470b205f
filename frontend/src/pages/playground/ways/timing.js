import { Stopwatch } from "./stopwatch.js";

/** How long a click takes to be on the screen and, if it is there at once, to be confirmed. */
export class Timing {
  #panel;
  #ways;
  #stopwatch = new Stopwatch();
  #reconciling = new Stopwatch();

  /** `panel` shows the clicks; `ways` what was measured. */
  constructor(panel, ways) {
    this.#panel = panel;
    this.#ways = ways;
    ways.show(this.#stopwatch);
  }

  /** A click at `at` (performance.now()), before it is counted. */
  start(subject, at) {
    const { type, shown, totals } = this.#panel;
    if (type !== "click") return;
    this.#stopwatch.start(subject, shown.count(subject), at);
    this.#reconciling.start(subject, totals.count(subject), at);
  }

  /** What is in flight was counted otherwise: in another way, or as another type. */
  abandon() {
    this.#stopwatch.abandon();
    this.#reconciling.abandon();
  }

  /** The frame that is being drawn may be the one that was waited for. */
  measure(way) {
    const { shown, totals } = this.#panel;
    const seen = this.#stopwatch.arrived((subject) => shown.count(subject));
    const told = this.#reconciling.arrived((subject) => totals.count(subject));
    // A task after this frame's: by then the browser has painted it.
    if (seen.length + told.length > 0) setTimeout(() => this.#stop(way, seen, told));
  }

  #stop(way, seen, told) {
    const now = performance.now();
    this.#stopwatch.stop(way, seen, now);
    if (way === "optimistic") this.#stopwatch.stop("reconciled", told, now);
    this.#ways.show(this.#stopwatch);
  }
}
