import { LineChart, peakOf, sumOf } from "../../charts/line_chart.js";
import { seriesOf } from "../../data/period.js";
import { Poller } from "../../data/poller.js";
import { TrendPoints } from "../../data/trend_points.js";
import { write } from "../../lib/element.js";
import { countedOf, titleOf } from "../../lib/words.js";

const MARGIN = { top: 10, right: 14, bottom: 22, left: 44 };
const number = new Intl.NumberFormat("en");
const FORMATS = {
  minute: new Intl.DateTimeFormat(undefined, { weekday: "short", hour: "2-digit", minute: "2-digit" }),
  hour: new Intl.DateTimeFormat(undefined, { weekday: "short", day: "numeric", hour: "2-digit", minute: "2-digit" }),
  day: new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" }),
};
const iso = (time) => new Date(time).toISOString();

/** A card with the line of a type's counts over a period; it moves as they do. */
export class OverTime {
  #root;
  #page;
  #type;
  #chart;
  #points = new TrendPoints();
  #from = null;
  #poller;

  /** `page` is what all cards share: its API, its period (null: one that makes no sense), … */
  constructor(root, type, page) {
    this.#root = root;
    this.#page = page;
    this.#chart = new LineChart(root.querySelector("figure"), {
      margin: MARGIN,
      rules: 4,
      timesApart: 110,
      read: (point, { before }) => this.#readingOf(point, before),
      describe: (points) => this.#describe(points),
    });
    this.#poller = new Poller({
      read: (signal) => this.#read(signal),
      take: (answer) => this.#take(answer),
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
    this.#chart.clear();
    this.#say(this.#page.period() === null ? "" : "Reading…");
    this.#page.read(this.#poller);
  }

  stop() {
    this.#poller.stop();
  }

  /** A message about the type's live totals. */
  receive({ type, total }) {
    if (type === "snapshot") {
      this.#points.restart(total);
      this.#page.read(this.#poller);
    } else if (type === "update") {
      const grew = this.#points.grow(total, this.#page.now());
      this.#poller.heard(grew);
      if (grew) this.#page.changed(this);
    }
  }

  draw() {
    this.#chart.show(this.#points.since(this.#from));
  }

  #name(type) {
    this.#type = type;
    write(this.#root.querySelector("h2"), `${titleOf(type)} over time`);
  }

  async #read(signal) {
    const period = this.#page.period();
    const { bucket, from, to } = seriesOf(period, this.#page.compares());
    const query = { type: this.#type, bucket, from: iso(from), to: iso(to) };
    return { period, answer: await this.#page.api.stats(query, signal) };
  }

  #take({ period, answer }) {
    this.#points.load(answer, period.ongoing);
    this.#from = period.from;
    this.#say("");
    this.#page.changed(this);
  }

  #failed(error) {
    if (error.final) this.#poller.stop();
    this.#say(error.final ? error.message : `${error.message} Trying again.`);
  }

  // What was read before stays: it is what the server said last.
  #say(text) {
    const said = this.#root.querySelector("[data-state]");
    write(said, text);
    said.hidden = text === "";
  }

  #readingOf({ at, total }, before) {
    const than = before ? `, before ${number.format(before.total)}` : "";
    return `${this.#timeOf(at)}: ${number.format(total)}${than}`;
  }

  #describe(points) {
    if (points.length === 0) return "Counts over time: not known yet";
    const peak = peakOf(points);
    return `${countedOf(this.#type, sumOf(points))}; most ${peak.total} at ${this.#timeOf(peak.at)}`;
  }

  #timeOf(at) {
    return FORMATS[this.#points.bucket].format(at);
  }
}
