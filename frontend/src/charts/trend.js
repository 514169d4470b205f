import { scaleLinear, scaleTime } from "d3-scale";
import { pointer, select } from "d3-selection";
import { area, curveMonotoneX, line } from "d3-shape";
import { write } from "../lib/element.js";
import { countedOf } from "../lib/words.js";

const MARGIN = { top: 10, right: 14, bottom: 22, left: 44 };
const LABEL_WIDTH = 80;
const compact = new Intl.NumberFormat("en", { notation: "compact" });
const number = new Intl.NumberFormat("en");
const clockTime = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const TWO_DAYS_MS = 2 * 86_400_000;
const FORMATS = {
  minute: new Intl.DateTimeFormat(undefined, { weekday: "short", hour: "2-digit", minute: "2-digit" }),
  hour: new Intl.DateTimeFormat(undefined, { weekday: "short", day: "numeric", hour: "2-digit", minute: "2-digit" }),
  day: new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" }),
};

/** A type's counts over a period, and behind them those of the period before. */
export class Trend {
  #svg;
  #parts = {};
  #reading;
  #type = "";
  #now = [];
  #before = [];
  #bucket = "minute";
  #x = scaleTime();
  #y = scaleLinear();
  #looked = null;
  #height = 0;

  constructor(figure) {
    this.#reading = figure.querySelector("[data-reading]");
    this.#svg = select(figure.querySelector("svg"));
    for (const part of ["rules", "times"]) this.#parts[part] = this.#svg.append("g").attr("class", part);
    for (const part of ["before", "area", "line"]) {
      this.#parts[part] = this.#svg.append("path").attr("class", part);
    }
    this.#parts.look = this.#svg.append("line").attr("class", "look");
    this.#listen();
    this.clear();
  }

  /** `all` are [{at, total}, …]; those before `from` are of the period before. */
  show(type, { bucket, all: points }, from) {
    const first = from === null ? 0 : Math.max(0, points.findIndex(({ at }) => at >= from));
    this.#type = type;
    this.#bucket = bucket;
    this.#now = points.slice(first);
    this.#before = points.slice(0, first).slice(-this.#now.length);
    this.#draw();
  }

  /** Nothing is known any more. */
  clear() {
    this.#now = this.#before = [];
    for (const part of ["before", "area", "line"]) this.#parts[part].attr("d", null);
    for (const part of ["rules", "times"]) this.#parts[part].selectAll("*").remove();
    write(this.#reading, "");
    this.#read();
    this.#svg.attr("aria-label", "Counts over time: not known yet");
  }

  #listen() {
    const node = this.#svg.node();
    new ResizeObserver(() => this.#draw()).observe(node);
    node.addEventListener("pointermove", (event) => {
      this.#looked = this.#x.invert(pointer(event, node)[0]).getTime();
      this.#read();
    });
    node.addEventListener("pointerleave", () => {
      this.#looked = null;
      this.#read();
    });
  }

  #draw() {
    if (this.#now.length === 0) return;
    this.#fit();
    this.#axes();
    const x = (_, i) => this.#x(this.#now[i].at);
    const y = ({ total }) => this.#y(total);
    const path = line(x, y).curve(curveMonotoneX);
    this.#parts.before.attr("d", path(this.#before));
    this.#parts.area.attr("d", area(x, this.#y(0), y).curve(curveMonotoneX)(this.#now));
    this.#parts.line.attr("d", path(this.#now));
    this.#read();
    const sum = this.#now.reduce((all, { total }) => all + total, 0);
    const peak = this.#now.reduce((best, point) => (point.total > best.total ? point : best));
    this.#svg.attr(
      "aria-label",
      `${countedOf(this.#type, sum)}; most ${peak.total} at ${FORMATS[this.#bucket].format(peak.at)}`,
    );
  }

  #fit() {
    const { clientWidth: width, clientHeight } = this.#svg.node();
    this.#height = clientHeight;
    const most = Math.max(1, ...this.#now.concat(this.#before).map(({ total }) => total));
    this.#svg.attr("viewBox", `0 0 ${width} ${this.#height}`);
    this.#x.domain([this.#now[0].at, this.#now.at(-1).at]).range([MARGIN.left, width - MARGIN.right]);
    this.#y.domain([0, most]).nice(4).range([this.#height - MARGIN.bottom, MARGIN.top]);
  }

  #axes() {
    const [left, right] = this.#x.range();
    const isShort = this.#now.at(-1).at - this.#now[0].at < TWO_DAYS_MS;
    const rules = this.#parts.rules
      .selectAll("g")
      .data(this.#y.ticks(4).filter(Number.isInteger), String)
      .join((enter) => {
        const rule = enter.append("g");
        rule.append("line");
        rule.append("text").attr("dy", "0.32em");
        return rule;
      })
      .attr("transform", (value) => `translate(0 ${this.#y(value)})`);
    rules.select("line").attr("x1", left).attr("x2", right);
    rules.select("text").attr("x", left - 6).text(compact.format);
    this.#parts.times
      .selectAll("text")
      .data(this.#x.ticks(Math.floor((right - left) / 110)), Number)
      .join("text")
      .attr("x", this.#x)
      .attr("y", this.#height - 5)
      .attr("text-anchor", (time) => (right - this.#x(time) < LABEL_WIDTH / 2 ? "end" : "middle"))
      .text((time) => (isShort ? clockTime : FORMATS.day).format(time));
  }

  #read() {
    const i = this.#nearest();
    const { look } = this.#parts;
    look.attr("visibility", this.#looked === null || i === -1 ? "hidden" : "visible");
    if (i === -1) return;
    const { at, total } = this.#now[i];
    const [bottom, top] = this.#y.range();
    look.attr("x1", this.#x(at)).attr("x2", this.#x(at)).attr("y1", top).attr("y2", bottom);
    const before = this.#before[i];
    const than = before ? `, before ${number.format(before.total)}` : "";
    write(this.#reading, `${FORMATS[this.#bucket].format(at)}: ${number.format(total)}${than}`);
  }

  #nearest() {
    const distance = ({ at }) => Math.abs(at - (this.#looked ?? Infinity));
    if (this.#looked === null || this.#now.length === 0) return this.#now.length - 1;
    return this.#now.reduce((best, point, i) => (distance(point) < distance(this.#now[best]) ? i : best), 0);
  }
}
