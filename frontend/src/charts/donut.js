import { select } from "d3-selection";
import { arc, pie } from "d3-shape";
import { colorOf, compareSubjects } from "../lib/colors.js";
import { counted, write } from "../lib/element.js";

// More arcs than this can't be told apart; what is left over is one grey arc.
const MOST_ARCS = 150;
const EASE_MS = 90;
const CLOSE_ENOUGH = 0.001;

const OTHERS = { others: true };
const keyOf = ({ data }) => (data.others ? "others" : `subject ${data.subject}`);
const shape = arc().innerRadius(66).outerRadius(97);
const layout = pie()
  .sort(null)
  .value(({ count }) => count);

/** What a donut shows of its totals: known subjects in their fixed order, the rest as one. */
function slicesOf(totals) {
  const slices = totals.top(MOST_ARCS).map(([subject, count]) => ({ subject, count }));
  slices.sort((a, b) => compareSubjects(a.subject, b.subject));
  const shown = slices.reduce((sum, { count }) => sum + count, 0);
  const rest = (totals.total ?? 0) - shown;
  return rest > 0 ? [...slices, { ...OTHERS, count: rest }] : slices;
}

/** A donut with an arc per subject. Arcs glide to their angles; numbers are right at once. */
export class Donut {
  total = null;
  noun;
  #svg;
  #arcs;
  #integer;
  #reducedMotion = matchMedia("(prefers-reduced-motion: reduce)");

  constructor(figure, noun) {
    this.noun = noun;
    this.#integer = figure.querySelector("[data-total]");
    this.#svg = select(figure.querySelector("svg"));
    for (const radius of [66, 97]) this.#svg.append("circle").attr("class", "rim").attr("r", radius);
    this.#arcs = this.#svg.append("g").selectAll("path");
    this.#describe(null, []);
  }

  update(totals) {
    this.total = totals.total;
    const slices = slicesOf(totals);
    this.#arcs = this.#arcs.data(layout(slices), keyOf).join(enterArc);
    this.#arcs.each((slice, i, paths) => write(paths[i].firstChild, this.#title(slice.data)));
    this.#writeTotal(totals.total);
    this.#describe(totals.total, totals.top(5));
  }

  /** Moves the arcs on by one frame; true while there is more to move. */
  step(elapsed) {
    const share = this.#reducedMotion.matches ? 1 : 1 - Math.exp(-elapsed / EASE_MS);
    let moving = false;
    this.#arcs.attr("d", function (target) {
      moving = approach(this.angles, target, share) || moving;
      return shape(this.angles);
    });
    return moving;
  }

  #title({ subject, others, count }) {
    return `${others ? "Others" : subject}: ${counted(count, this.noun)}`;
  }

  // The digits are grouped by space, not by characters: the text stays a plain integer.
  #writeTotal(total) {
    const digits = total === null ? "" : String(total);
    if (this.#integer.dataset.total === digits) return;
    this.#integer.dataset.total = digits;
    this.#integer.style.setProperty("--digits", digits.length);
    const groups = digits.match(/\d{1,3}(?=(\d{3})*$)/g) ?? ["–"];
    this.#integer.replaceChildren(...groups.map(digitGroup));
  }

  #describe(total, top) {
    const names = top.map(([subject, count]) => `${subject} ${count}`).join(", ");
    const label = total === null ? "not known yet" : `${counted(total, this.noun)} in all`;
    this.#svg.attr("aria-label", `Donut of ${this.noun}s: ${label}${names && `; most: ${names}`}`);
  }
}

function digitGroup(digits) {
  const group = document.createElement("span");
  group.textContent = digits;
  return group;
}

function enterArc(enter) {
  const path = enter
    .append("path")
    .attr("class", ({ data }) => (data.others ? "arc others" : "arc"))
    .attr("fill", ({ data }) => (data.others ? null : colorOf(data.subject)))
    .each(function ({ startAngle }) {
      this.angles = { startAngle, endAngle: startAngle };
    });
  path.append("title");
  return path;
}

function approach(angles, target, share) {
  let moving = false;
  for (const side of ["startAngle", "endAngle"]) {
    const left = (target[side] - angles[side]) * (1 - share);
    const arrived = Math.abs(left) < CLOSE_ENOUGH;
    angles[side] = arrived ? target[side] : target[side] - left;
    moving ||= !arrived;
  }
  return moving;
}
