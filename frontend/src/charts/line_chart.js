import { nice, ticks } from "d3-array";
import { pointer, select } from "d3-selection";
import { area, curveMonotoneX, line } from "d3-shape";
import { timeTicks } from "d3-time";
import { write } from "../lib/element.js";
import { DAY_MS } from "../lib/time.js";
import { clockTime } from "../lib/words.js";
import { linear } from "./linear.js";

const LABEL_WIDTH = 60;
const PATHS = ["before", "area", "line", "under-way"];
const compact = new Intl.NumberFormat("en", { notation: "compact" });
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });

/**
 * Counts over time as a line, in a figure's `svg`; beside it, in `[data-reading]`, what the line is
 * where one points at it, or at its end.
 *
 *   margin       around the plot: {top, right, bottom, left}
 *   rules        about how many lines to read a count by
 *   timesApart   how many pixels, at the least, from one time below to the next
 *   read(point, {before, pointed})   the reading in words
 *   describe(points)                 the whole line in words; of no points: that nothing is known
 */
export class LineChart {
  #svg;
  #parts = {};
  #reading;
  #options;
  #points = [];
  #before = [];
  #underWay = false;
  #plot = null;
  #pointedAt = null;

  constructor(figure, options) {
    this.#options = options;
    this.#reading = figure.querySelector("[data-reading]");
    this.#svg = select(figure.querySelector("svg"));
    for (const part of ["rules", "times"]) this.#parts[part] = this.#svg.append("g").attr("class", part);
    for (const part of PATHS) this.#parts[part] = this.#svg.append("path").attr("class", part);
    this.#parts.look = this.#svg.append("line").attr("class", "look");
    this.#parts.dot = this.#svg.append("circle").attr("class", "dot").attr("r", 3.5);
    this.#listen();
    this.clear();
  }

  /**
   * `points` are [{at, total}, …]; `before`, one for each, are those of the time before. A last one
   * that is `underWay` is low because it is short: that is no fall.
   */
  show({ points, before = [], underWay = false }) {
    this.#points = points;
    this.#before = before;
    this.#underWay = underWay;
    this.#draw();
  }

  /** Nothing is known any more. */
  clear() {
    this.#points = this.#before = [];
    this.#svg.attr("aria-label", this.#options.describe([])).classed("unread", true);
    write(this.#reading, "");
  }

  #listen() {
    const node = this.#svg.node();
    new ResizeObserver(() => this.#draw()).observe(node);
    node.addEventListener("pointermove", (event) => {
      this.#pointedAt = this.#plot?.x.invert(pointer(event, node)[0]) ?? null;
      this.#read();
    });
    node.addEventListener("pointerleave", () => {
      this.#pointedAt = null;
      this.#read();
    });
  }

  #draw() {
    if (this.#points.length === 0) return;
    this.#svg.attr("aria-label", this.#options.describe(this.#points)).classed("unread", false);
    this.#plot = this.#fit();
    this.#drawRules(this.#plot);
    this.#drawTimes(this.#plot);
    this.#drawLine(this.#plot);
    this.#read();
  }

  /** Where the plot's edges are, and where in it a time and a count. */
  #fit() {
    const { clientWidth: width, clientHeight: height } = this.#svg.node();
    this.#svg.attr("viewBox", `0 0 ${width} ${height}`);
    const { margin, rules } = this.#options;
    const edges = { left: margin.left, right: width - margin.right, bottom: height - margin.bottom };
    const most = Math.max(1, ...this.#points.concat(this.#before).map(({ total }) => total));
    const [, highest] = nice(0, most, rules);
    const times = [this.#points[0].at, this.#points.at(-1).at];
    const x = linear(times, [edges.left, edges.right]);
    const y = linear([0, highest], [edges.bottom, margin.top]);
    return { ...edges, top: margin.top, height, highest, times, x, y };
  }

  #drawRules({ left, right, highest, y }) {
    const rules = this.#parts.rules
      .selectAll("g")
      .data(ticks(0, highest, this.#options.rules).filter(Number.isInteger), String)
      .join(enterRule)
      .attr("transform", (value) => `translate(0 ${y(value)})`);
    rules.select("line").attr("x1", left).attr("x2", right);
    rules.select("text").attr("x", left - 6).text(compact.format);
  }

  #drawTimes({ left, right, height, times: [first, last], x }) {
    const format = last - first < 2 * DAY_MS ? clockTime : day;
    const most = Math.floor((right - left) / this.#options.timesApart);
    this.#parts.times
      .selectAll("text")
      .data(timeTicks(new Date(first), new Date(last), most), Number)
      .join("text")
      .attr("x", x)
      .attr("y", height - 4)
      .attr("text-anchor", (time) => (right - x(time) < LABEL_WIDTH / 2 ? "end" : "middle"))
      .text((time) => format.format(time));
  }

  // The time before is drawn where the same point of this one is.
  #drawLine(plot) {
    const x = (_, i) => plot.x(this.#points[i].at);
    const y = ({ total }) => plot.y(total);
    const whole = this.#underWay ? this.#points.slice(0, -1) : this.#points;
    const rest = this.#underWay ? this.#points.slice(-2) : [];
    const curve = line(x, y).curve(curveMonotoneX);
    this.#parts.before.attr("d", curve(this.#before));
    this.#parts.area.attr("d", area(x, plot.bottom, y).curve(curveMonotoneX)(whole));
    this.#parts.line.attr("d", curve(whole));
    this.#parts["under-way"].attr("d", line(({ at }) => plot.x(at), y)(rest));
  }

  #read() {
    if (this.#points.length === 0) return;
    const pointed = this.#pointedAt !== null;
    const i = pointed ? this.#nearest() : this.#points.length - 1;
    const { at, total } = this.#points[i];
    const { top, bottom } = this.#plot;
    const x = this.#plot.x(at);
    this.#parts.dot.attr("cx", x).attr("cy", this.#plot.y(total));
    this.#parts.look.attr("x1", x).attr("x2", x).attr("y1", top).attr("y2", bottom);
    this.#parts.look.attr("visibility", pointed ? "visible" : "hidden");
    write(this.#reading, this.#options.read(this.#points[i], { before: this.#before[i], pointed }));
  }

  #nearest() {
    const distance = ({ at }) => Math.abs(at - this.#pointedAt);
    const nearest = (best, point, i, points) => (distance(point) < distance(points[best]) ? i : best);
    return this.#points.reduce(nearest, 0);
  }
}

/** The highest of these points, the first of them if several are. */
export function peakOf(points) {
  return points.reduce((best, point) => (point.total > best.total ? point : best));
}

export function sumOf(points) {
  return points.reduce((sum, { total }) => sum + total, 0);
}

function enterRule(enter) {
  const rule = enter.append("g");
  rule.append("line");
  rule.append("text").attr("dy", "0.32em");
  return rule;
}
