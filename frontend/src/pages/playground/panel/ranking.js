import { select } from "d3-selection";
import { colorOf } from "../../../lib/colors.js";
import { element } from "../../../lib/element.js";

const LINES = 10;

/** The largest counts of one type, as a list beside its donut. */
export class Ranking {
  #list;

  constructor(list) {
    this.#list = select(list);
  }

  update(totals) {
    const lines = this.#list
      .selectAll("li")
      .data(totals.top(LINES), ([subject]) => subject)
      .join((enter) => enter.append(([subject]) => line(subject)));
    lines.select(".count").text(([, count]) => count);
  }
}

function line(subject) {
  const swatch = element("span", { class: "swatch" });
  swatch.style.setProperty("--color", colorOf(subject));
  const name = element("bdi", { class: "name", title: subject }, subject);
  return element("li", {}, swatch, name, element("span", { class: "count" }));
}
