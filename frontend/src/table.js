import { bisector } from "d3-array";
import { compareSubjects, NAMES } from "./colours.js";
import { element, write } from "./element.js";

const TYPES = ["click", "hover"];
const order = bisector(compareSubjects);

/** Every subject and its counts in full: the text behind the pictures. */
export class CountTable {
  #body;
  #subjects = [];
  #rows = new Map();

  constructor(table) {
    this.#body = table.tBodies[0];
    for (const name of NAMES) this.#insert(name);
  }

  /** Null counts are not known yet; a subject that nobody counts any more leaves the table. */
  update(subject, counts, known) {
    if (!known && !NAMES.includes(subject)) return this.#remove(subject);
    const cells = this.#rows.get(subject) ?? this.#insert(subject);
    for (const type of TYPES) write(cells[type], counts[type] === null ? "–" : String(counts[type]));
  }

  #insert(subject) {
    const index = order.left(this.#subjects, subject);
    const { row, cells } = this.#row(subject);
    this.#body.insertBefore(row, this.#body.rows[index] ?? null);
    this.#subjects.splice(index, 0, subject);
    this.#rows.set(subject, cells);
    return cells;
  }

  #remove(subject) {
    if (!this.#rows.delete(subject)) return;
    const index = order.left(this.#subjects, subject);
    this.#body.deleteRow(index);
    this.#subjects.splice(index, 1);
  }

  #row(subject) {
    const cells = Object.fromEntries(TYPES.map((type) => [type, cell(type, subject)]));
    const name = element("bdi", {}, subject);
    const row = element("tr", {}, element("th", { scope: "row" }, name), cells.click, cells.hover);
    return { row, cells };
  }
}

function cell(type, subject) {
  return element("td", { "data-count": `${type}:${subject}` }, "–");
}
