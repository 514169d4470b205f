import { NAMES } from "../../../lib/colors.js";
import { Donut } from "../../../charts/donut.js";
import { write } from "../../../lib/element.js";
import { MinuteLine } from "../../../charts/minutes.js";
import { Optimistic } from "../../../data/optimistic.js";
import { Ranking } from "./ranking.js";
import { MinuteSeries } from "../../../data/minute_series.js";
import { StatsReader } from "../../../data/minute_reader.js";
import { Totals } from "../../../data/totals.js";
import { nounOf, titleOf } from "../../../lib/words.js";

/** One type's counts as a donut, a list and a line of minutes; which type, its reader picks. */
export class Panel {
  type;
  totals;
  /** What is shown: the totals, and what this page has just counted itself. */
  shown;
  series;
  #stats = null;
  #key = null;
  #root;
  #parts;
  #donut;
  #ranking;
  #line;
  #all = false;

  constructor(root, type, parts) {
    this.#root = root;
    this.#parts = parts;
    this.#donut = new Donut(root.querySelector(".donut"), nounOf(type));
    this.#ranking = new Ranking(root.querySelector(".ranking"));
    this.#line = new MinuteLine(root.querySelector(".minutes"), nounOf(type), parts.changed);
    this.use(type);
  }

  /** Shows another type, of which nothing is known yet. */
  use(type) {
    this.#stats?.useKey(null);
    this.type = type;
    this.totals = new Totals();
    this.shown = new Optimistic(this.totals);
    this.series = new MinuteSeries();
    this.#stats = new StatsReader({ type, series: this.series, ...this.#parts });
    this.#stats.useKey(this.#key);
    this.#donut.noun = this.#line.noun = nounOf(type);
    write(this.#root.querySelector("[data-title]"), titleOf(type));
    write(this.#root.querySelector(".unit"), `${nounOf(type)}s`);
    this.#draw();
  }

  /** Null: ask for nothing more. */
  useKey(key) {
    this.#key = key;
    this.#stats.useKey(key);
  }

  /** A message about this type's totals, however it came. */
  take({ type, totals, total }) {
    if (type === "snapshot") {
      this.totals.snapshot(totals, total);
      this.#all = true;
      this.series.restart(total);
      this.#stats.read();
    } else if (type === "update") {
      this.totals.update(totals, total);
      this.series.grow(total, this.#parts.clock.now());
      this.#stats.grew();
    }
  }

  readMinutes() {
    this.#stats.read();
  }

  /** Shows what is news; returns the subjects whose count that is. */
  draw() {
    const changed = this.shown.takeChanged();
    // Which colours nobody has counted is known only now.
    if (this.#all) for (const name of NAMES) changed.add(name);
    this.#all = false;
    if (changed.size > 0 || this.shown.total !== this.#donut.total) this.#draw();
    this.#line.update(this.series, this.#parts.clock.now());
    return changed;
  }

  /** Moves the arcs on by one frame; true while there is more to move. */
  step(elapsed) {
    return this.#donut.step(elapsed);
  }

  #draw() {
    this.#donut.update(this.shown);
    this.#ranking.update(this.shown);
  }
}
