import { scaleLinear, scaleTime } from "d3-scale";
import { pointer, select } from "d3-selection";
import { area, curveMonotoneX, line } from "d3-shape";
import { counted, element, write } from "../lib/element.js";

const HEIGHT = 92;
const LABEL_WIDTH = 60;
const MARGIN = { top: 8, right: 10, bottom: 20, left: 38 };
const compact = new Intl.NumberFormat("en", { notation: "compact" });
const clockTime = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });

/** The line of one type's counts per minute. Its last point is the minute still under way. */
export class MinuteLine {
  noun;
  #svg;
  #parts = {};
  #reading;
  #points = [];
  #x = scaleTime();
  #y = scaleLinear();
  #looked = null;

  constructor(figure, noun, changed) {
    this.noun = noun;
    this.#reading = figure.querySelector("[data-reading]");
    this.#svg = select(figure.querySelector("svg")).attr("height", HEIGHT);
    for (const part of ["rules", "times"]) this.#parts[part] = this.#svg.append("g").attr("class", part);
    for (const part of ["area", "line", "under-way"]) this.#parts[part] = this.#svg.append("path").attr("class", part);
    this.#parts.look = this.#svg.append("line").attr("class", "look");
    this.#parts.dot = this.#svg.append("circle").attr("class", "dot").attr("r", 3.5);
    this.#listen(changed);
    this.#describe();
  }

  update(series, now) {
    this.#svg.classed("unread", !series.loaded);
    if (!series.loaded) return;
    this.#points = series.points(now);
    this.#fit();
    this.#drawAxes();
    this.#drawLine();
    this.#drawReading();
    this.#describe();
  }

  #listen(changed) {
    const node = this.#svg.node();
    new ResizeObserver(changed).observe(node);
    node.addEventListener("pointermove", (event) => {
      this.#looked = this.#x.invert(pointer(event, node)[0]).getTime();
      changed();
    });
    node.addEventListener("pointerleave", () => {
      this.#looked = null;
      changed();
    });
  }

  #fit() {
    const width = this.#svg.node().clientWidth;
    const most = Math.max(1, ...this.#points.map(({ total }) => total));
    this.#svg.attr("viewBox", `0 0 ${width} ${HEIGHT}`);
    this.#x.domain([this.#points[0].at, this.#points.at(-1).at]).range([MARGIN.left, width - MARGIN.right]);
    this.#y.domain([0, most]).nice(3).range([HEIGHT - MARGIN.bottom, MARGIN.top]);
  }

  #drawAxes() {
    const [left, right] = this.#x.range();
    const rules = this.#parts.rules
      .selectAll("g")
      .data(this.#y.ticks(3).filter(Number.isInteger), String)
      .join(enterRule)
      .attr("transform", (value) => `translate(0 ${this.#y(value)})`);
    rules.select("line").attr("x1", left).attr("x2", right);
    rules.select("text").attr("x", left - 6).text(compact.format);
    this.#parts.times
      .selectAll("text")
      .data(this.#x.ticks(right - left < 400 ? 2 : 4), Number)
      .join("text")
      .attr("x", this.#x)
      .attr("y", HEIGHT - 4)
      .attr("text-anchor", (time) => (right - this.#x(time) < LABEL_WIDTH / 2 ? "end" : "middle"))
      .text((time) => clockTime.format(time));
  }

  #drawLine() {
    const x = ({ at }) => this.#x(at);
    const y = ({ total }) => this.#y(total);
    const floor = this.#y(0);
    const whole = this.#points.slice(0, -1);
    this.#parts.area.attr("d", area(x, floor, y).curve(curveMonotoneX)(whole));
    this.#parts.line.attr("d", line(x, y).curve(curveMonotoneX)(whole));
    // A minute that has just begun is low because it is short: that is no fall.
    this.#parts["under-way"].attr("d", line(x, y)(this.#points.slice(-2)));
  }

  #drawReading() {
    const { at, total } = this.#lookedAt() ?? this.#points.at(-1);
    const [bottom, top] = this.#y.range();
    this.#parts.dot.attr("cx", this.#x(at)).attr("cy", this.#y(total));
    this.#parts.look
      .attr("x1", this.#x(at))
      .attr("x2", this.#x(at))
      .attr("y1", top)
      .attr("y2", bottom)
      .attr("visibility", this.#looked === null ? "hidden" : "visible");
    const when = this.#looked === null ? "this minute" : clockTime.format(at);
    write(this.#reading, `${when}: ${total}`);
  }

  #lookedAt() {
    if (this.#looked === null) return null;
    return this.#points.reduce((best, point) =>
      Math.abs(point.at - this.#looked) < Math.abs(best.at - this.#looked) ? point : best,
    );
  }

  #describe() {
    this.#svg.attr("aria-label", describe(this.#points, this.noun));
  }
}

function enterRule(enter) {
  const rule = enter.append("g");
  rule.append("line");
  rule.append("text").attr("dy", "0.32em");
  return rule;
}

function describe(points, noun) {
  if (points.length === 0) return `${noun}s per minute: not known yet`;
  const sum = points.reduce((all, { total }) => all + total, 0);
  const peak = points.reduce((best, point) => (point.total > best.total ? point : best));
  const highest = peak.total > 0 ? `; most ${peak.total} at ${clockTime.format(peak.at)}` : "";
  return `${counted(sum, noun)} in the last ${points.length} minutes${highest}`;
}

/** The same minutes as numbers, the newest first. */
export class MinuteTable {
  #body;

  constructor(table) {
    this.#body = table.tBodies[0];
  }

  /** One column for each series; "–" where one is not known yet. */
  update(columns, now) {
    const known = columns.map((series) => series.loaded && series.points(now).reverse());
    if (!known.some(Boolean)) return;
    known.find(Boolean).forEach(({ at }, i) => {
      const { cells } = this.#body.rows[i] ?? this.#addRow();
      write(cells[0], clockTime.format(at));
      known.forEach((points, column) =>
        write(cells[column + 1], points ? String(points[i].total) : "–"),
      );
    });
  }

  #addRow() {
    const row = element("tr", {}, element("th", { scope: "row" }), element("td"), element("td"));
    this.#body.append(row);
    return row;
  }
}
