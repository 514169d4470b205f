import { write } from "../../lib/element.js";
import { seriesOf } from "../../data/period.js";
import { ask, Reader } from "../../data/reader.js";
import { Trend } from "../../charts/trend.js";
import { TrendPoints } from "../../data/trend_points.js";
import { titleOf } from "../../lib/words.js";

const iso = (time) => new Date(time).toISOString();

/** A card with the line of a type's counts over a period; it moves as they do. */
export class OverTime {
  #root;
  #page;
  #type;
  #trend;
  #points = new TrendPoints();
  #from = null;
  #reader;
  #drawn = true;

  /** `page` is what all cards share: its key, its period (null: one that makes no sense), … */
  constructor(root, type, page) {
    this.#root = root;
    this.#page = page;
    this.#trend = new Trend(root.querySelector("figure"));
    this.#reader = new Reader({
      read: (signal, isCurrent) => this.#read(signal, isCurrent),
      failed: (error) => this.#failed(error),
    });
    this.#name(type);
  }

  use(type) {
    this.#points = new TrendPoints();
    this.#name(type);
    this.again();
  }

  /** Another time, type or key: nothing that was read before is shown any more. */
  again() {
    this.#points.forget();
    this.#trend.clear();
    this.#say(this.#page.period() === null ? "" : "Reading…");
    this.#restart();
  }

  stop() {
    this.#reader.stop();
  }

  /** A message about the type's live totals. */
  take({ type, total }) {
    if (type === "snapshot") {
      this.#points.restart(total);
      this.#restart();
    } else if (type === "update") {
      const grew = this.#points.grow(total, this.#page.now());
      this.#reader.heard(grew);
      if (grew) this.#ask();
    }
  }

  /** Draws, if there is news. */
  draw() {
    if (this.#drawn) return;
    this.#drawn = true;
    this.#trend.show(this.#type, this.#points, this.#from);
  }

  #name(type) {
    this.#type = type;
    write(this.#root.querySelector("h2"), `${titleOf(type)} over time`);
  }

  #restart() {
    if (this.#page.key() === null || this.#page.period() === null) this.#reader.stop();
    else this.#reader.again();
  }

  async #read(signal, isCurrent) {
    const period = this.#page.period();
    const { bucket, from, to } = seriesOf(period, this.#page.compares());
    const asked = { type: this.#type, bucket, from: iso(from), to: iso(to) };
    const answer = await ask("/v1/stats", asked, this.#page.key(), signal);
    if (!isCurrent()) return;
    this.#points.load(answer, period.ongoing);
    this.#from = period.from;
    this.#say("");
    this.#ask();
  }

  #ask() {
    this.#drawn = false;
    this.#page.changed();
  }

  #failed(error) {
    if (error.refusesKey) return this.#page.refused(error.message);
    this.#say(error.final ? error.message : `${error.message} Trying again.`);
  }

  // What was read before stays: it is what the server said last.
  #say(text) {
    const said = this.#root.querySelector("[data-state]");
    write(said, text);
    said.hidden = text === "";
  }
}
