import { Donut } from "../../../charts/donut.js";
import { minutePoller } from "../../../data/minute_poller.js";
import { MinuteSeries } from "../../../data/minute_series.js";
import { Optimistic } from "../../../data/optimistic.js";
import { Totals } from "../../../data/totals.js";
import { NAMES } from "../../../lib/colors.js";
import { write } from "../../../lib/element.js";
import { nounOf, titleOf } from "../../../lib/words.js";
import { minuteLine } from "./minute_line.js";
import { Ranking } from "./ranking.js";

/** One type's counts as a donut, a list and a line of minutes; which type, its reader picks. */
export class Panel {
  type;
  totals;
  /** What is shown: the totals, and what this page has just counted itself. */
  shown;
  series;
  #minutes = null;
  #root;
  #parts;
  #donut;
  #ranking;
  #line;
  #all = false;

  /** `parts` are what all panels share: `api`, `clock`, and `changed()`, which asks for a draw. */
  constructor(root, type, parts) {
    this.#root = root;
    this.#parts = parts;
    this.#donut = new Donut(root.querySelector(".donut"), nounOf(type));
    this.#ranking = new Ranking(root.querySelector(".ranking"));
    this.#line = minuteLine(root.querySelector(".minutes"), () => this.type);
    this.use(type);
  }

  /** Shows another type, of which nothing is known yet. */
  use(type) {
    this.#minutes?.stop();
    this.type = type;
    this.totals = new Totals();
    this.shown = new Optimistic(this.totals);
    this.series = new MinuteSeries();
    this.#minutes = minutePoller({ type, series: this.series, ...this.#parts });
    this.#donut.noun = nounOf(type);
    this.#line.clear();
    write(this.#root.querySelector("[data-title]"), titleOf(type));
    write(this.#root.querySelector(".unit"), `${nounOf(type)}s`);
    this.#draw();
  }

  /** Asks for nothing more, until the next snapshot. */
  stop() {
    this.#minutes.stop();
  }

  /** A message about this type's totals, however it came. */
  receive({ type, totals, total }) {
    if (type === "snapshot") {
      this.totals.snapshot(totals, total);
      this.#all = true;
      this.series.restart(total);
      this.readMinutes();
    } else if (type === "update") {
      this.totals.update(totals, total);
      this.#minutes.heard(this.series.grow(total, this.#parts.clock.now()));
    }
  }

  readMinutes() {
    this.#minutes.again();
  }

  /** Shows what was updated; returns the subjects whose count that is. */
  draw() {
    const changed = this.shown.takeChanged();
    // Which colours nobody has counted is known only now.
    if (this.#all) for (const name of NAMES) changed.add(name);
    this.#all = false;
    if (changed.size > 0 || this.shown.total !== this.#donut.total) this.#draw();
    if (this.series.loaded) {
      this.#line.show({ points: this.series.points(this.#parts.clock.now()), underWay: true });
    }
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
