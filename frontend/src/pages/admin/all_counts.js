import { colorOf, inkOn, NAMES } from "../../lib/colors.js";
import { element, write } from "../../lib/element.js";
import { Rates } from "./rates.js";

const COLORS = new Set(NAMES);
const FIRST = { count: "descending", rate: "descending" };
const number = new Intl.NumberFormat();
const perSecond = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });

/** The live table of project x type x subject. */
export class AllCounts {
  #root;
  #body;
  #rows = new Map();
  #rates = new Rates();
  #total = 0;
  #by = "count";
  #direction = "descending";
  #changed;

  constructor(root, changed) {
    this.#root = root;
    this.#changed = changed;
    this.#body = root.querySelector("tbody");
    root.querySelector("[data-filter]").addEventListener("input", changed);
    for (const button of root.querySelectorAll("[data-by]")) {
      button.addEventListener("click", () => this.#sort(button.dataset.by));
    }
    this.#mark();
  }

  /** A type's rows of all projects, the largest first. */
  ofType(type) {
    return [...this.#rows.values()].filter((row) => row.type === type).sort((a, b) => b.count - a.count);
  }

  receive({ type, rows, total }) {
    if (type === "snapshot") {
      const kept = new Set(rows.map((row) => JSON.stringify(row.slice(0, 3))));
      for (const [name, row] of this.#rows) {
        if (kept.has(name)) continue;
        row.node.remove();
        this.#rows.delete(name);
      }
    }
    if (!rows) return;
    const now = Date.now();
    for (const [project, kind, subject, count] of rows) {
      const name = JSON.stringify([project, kind, subject]);
      if (!this.#rows.has(name)) this.#rows.set(name, rowOf(project, kind, subject));
      this.#rows.get(name).count = count;
      this.#rates.note(name, count, now);
    }
    this.#total = total;
    this.#changed();
  }

  draw() {
    const now = Date.now();
    const wanted = this.#root.querySelector("[data-filter]").value.trim().toLowerCase();
    for (const [name, row] of this.#rows) {
      row.rate = this.#rates.of(name, now);
      row.node.hidden = !row.words.includes(wanted);
      write(row.cells[0], number.format(row.count));
      write(row.cells[1], row.rate > 0 ? perSecond.format(row.rate) : "");
    }
    this.#order();
    const shown = [...this.#rows.values()].filter(({ node }) => !node.hidden).length;
    const of = shown === this.#rows.size ? "" : ` of ${number.format(this.#rows.size)}`;
    const sum = `${number.format(shown)}${of} rows, ${number.format(this.#total)} events in all`;
    write(this.#root.querySelector("[data-sum]"), sum);
  }

  /** Only what is out of place is moved, so that a focus or a selection stays. */
  #order() {
    const sign = this.#direction === "ascending" ? 1 : -1;
    const by = this.#by;
    const rows = [...this.#rows.values()].sort(
      (a, b) => sign * compare(a[by], b[by]) || compare(a.words, b.words),
    );
    rows.forEach(({ node }, i) => {
      if (this.#body.rows[i] !== node) this.#body.insertBefore(node, this.#body.rows[i] ?? null);
    });
  }

  #sort(by) {
    const opposite = this.#direction === "ascending" ? "descending" : "ascending";
    this.#direction = by === this.#by ? opposite : (FIRST[by] ?? "ascending");
    this.#by = by;
    this.#mark();
    this.#changed();
  }

  #mark() {
    for (const button of this.#root.querySelectorAll("[data-by]")) {
      const sort = button.dataset.by === this.#by ? this.#direction : "none";
      button.closest("th").setAttribute("aria-sort", sort);
    }
  }
}

const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);

function rowOf(project, type, subject) {
  const name = element("bdi", {}, subject);
  if (COLORS.has(subject)) {
    name.className = "painted";
    name.style.setProperty("--color", colorOf(subject));
    name.style.setProperty("--ink", inkOn(colorOf(subject)));
  }
  const cells = [element("td"), element("td")];
  const node = element(
    "tr",
    {},
    element("th", { scope: "row" }, project),
    element("td", { class: "text" }, element("bdi", {}, type)),
    element("td", { class: "text", title: subject }, name),
    ...cells,
  );
  const words = `${project} ${type} ${subject}`.toLowerCase();
  return { node, cells, project, type, subject, words, count: 0, rate: 0 };
}
