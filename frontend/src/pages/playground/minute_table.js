import { element, write } from "../../lib/element.js";
import { clockTime } from "../../lib/words.js";

/** The counts per minute as numbers, the newest first. */
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
