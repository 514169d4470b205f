import { bisector } from "d3-array";
import { compareSubjects, NAMES } from "../../lib/colors.js";
import { element, write } from "../../lib/element.js";

const order = bisector(compareSubjects);

/** Every subject and its counts in full: the text behind the pictures. */
export class CountTable {
  #body;
  #subjects = [];
  #rows = new Map();
  #types;

  /** `types` are those of the two columns; they may be the same. */
  constructor(table, types) {
    this.#body = table.tBodies[0];
    this.use(types);
  }

  /** Shows other types, of which nothing is known yet. */
  use(types) {
    this.#types = types;
    this.#body.replaceChildren();
    this.#subjects = [];
    this.#rows.clear();
    for (const name of NAMES) this.#insert(name);
  }

  /** Null counts are not known yet; a subject that nobody counts any more leaves the table. */
  update(subject, counts, known) {
    if (!known && !NAMES.includes(subject)) return this.#remove(subject);
    const cells = this.#rows.get(subject) ?? this.#insert(subject);
    counts.forEach((count, i) => write(cells[i], count === null ? "–" : String(count)));
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
    const cells = this.#types.map((type) => cell(type, subject));
    const name = element("bdi", {}, subject);
    const row = element("tr", {}, element("th", { scope: "row" }, name), ...cells);
    return { row, cells };
  }
}

function cell(type, subject) {
  return element("td", { "data-count": `${type}:${subject}` }, "–");
}
