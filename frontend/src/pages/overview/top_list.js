import { select } from "d3-selection";
import { changeOf } from "../../data/period.js";
import { element, write } from "../../lib/element.js";

export const LINES = 12;
const number = new Intl.NumberFormat("en");
const calm = matchMedia("(prefers-reduced-motion: reduce)");

/** A card with the largest subjects of something: a table whose rows move as their counts do. */
export class TopList {
  #root;
  #heads;
  #unique;
  #compare = null;

  /** `heads` are [what a subject is, what it has]; `unique`: there is a column for that too. */
  constructor(template, { id, title, heads, unique = false, csv }) {
    this.#root = template.content.firstElementChild.cloneNode(true);
    this.#heads = heads;
    this.#unique = unique;
    this.#root.id = id;
    this.#find("h2").id = `${id}-title`;
    this.#root.setAttribute("aria-labelledby", `${id}-title`);
    this.#find("[data-csv]").addEventListener("click", csv);
    this.name(title);
  }

  get node() {
    return this.#root;
  }

  name(title) {
    write(this.#find("h2"), title);
    this.#find(".scroller").setAttribute("aria-label", `${title}, counts`);
    this.#find("[data-csv]").setAttribute("aria-label", `${title} as CSV`);
  }

  /** Nothing to show, and why. */
  say(text) {
    write(this.#find("[data-state]"), text);
    this.#find("[data-state]").hidden = false;
    this.#find(".scroller").hidden = true;
    write(this.#find("[data-total]"), "–");
    write(this.#find("[data-change]"), "");
  }

  /** A problem, while what was read before stays. */
  warn(text) {
    write(this.#find("[data-state]"), text);
    this.#find("[data-state]").hidden = text === "";
  }

  /** `rows` as {subject, total, unique, before}, the largest first. */
  show({ rows, total, before }, compare) {
    if (rows.length === 0) this.say("Nothing was counted in this time.");
    else {
      this.warn("");
      this.#find(".scroller").hidden = false;
    }
    write(this.#find("[data-total]"), number.format(total));
    showChange(this.#find("[data-change]"), total, compare ? before : undefined);
    this.#head(compare);
    this.#rows(rows, compare);
  }

  #head(compare) {
    if (this.#compare === compare) return;
    this.#compare = compare;
    const [subject, total] = this.#heads;
    const heads = [subject, total, ...(this.#unique ? ["Unique"] : []), ...(compare ? ["Change"] : [])];
    const cells = heads.map((head) => element("th", { scope: "col" }, head));
    this.#find("thead tr").replaceChildren(...cells);
    this.#find("tbody").replaceChildren();
  }

  #rows(rows, compare) {
    const most = rows[0]?.total ?? 1;
    const fill = (row, i, nodes) => fillRow(nodes[i], row, most);
    select(this.#find("tbody"))
      .selectAll("tr")
      .data(rows, ({ subject }) => `subject ${subject}`)
      .join((enter) => enter.append(({ subject }) => rowOf(subject, this.#unique, compare)))
      .order()
      .each(fill);
  }

  #find(selector) {
    return this.#root.querySelector(selector);
  }
}

function rowOf(subject, unique, compare) {
  const name = element("bdi", { title: subject }, subject);
  const row = element("tr", {}, element("th", { scope: "row" }, name));
  row.append(element("td", { "data-cell": "total" }));
  if (unique) row.append(element("td", { "data-cell": "unique" }));
  if (compare) row.append(element("td", { "data-cell": "change", class: "change" }));
  return row;
}

function fillRow(node, { total, unique, before }, most) {
  const cell = (name) => node.querySelector(`[data-cell="${name}"]`);
  const shown = cell("total").textContent;
  node.style.setProperty("--share", total / most);
  write(cell("total"), number.format(total));
  if (shown && shown !== cell("total").textContent) flash(cell("total"));
  if (cell("unique")) write(cell("unique"), unique === undefined ? "–" : number.format(unique));
  if (cell("change")) showChange(cell("change"), total, before);
}

function showChange(node, total, before) {
  write(node, changeOf(total, before));
  node.dataset.to = before === undefined || total === before ? "" : total > before ? "up" : "down";
  if (before === undefined) node.removeAttribute("title");
  else node.title = `${number.format(before)} in the period before`;
}

function flash(node) {
  if (calm.matches) return;
  node.animate([{ color: "var(--accent)" }, {}], { duration: 700, easing: "ease-out" });
}
