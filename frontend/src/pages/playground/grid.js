import { colorOf, inkOn, ROW_NAMES } from "../../lib/colors.js";
import { element, write } from "../../lib/element.js";

const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

/**
 * The 10x10 colours as buttons in an ARIA grid: one tab stop, arrow keys inside.
 * A pointer that enters is a hover; focus is not, or walking the grid by keyboard would count
 * every colour on the way. A finger has no hover: touching is a click only.
 */
export class Grid {
  #root;
  #buttons = new Map();
  #places;

  constructor(root, { hover, click, look }) {
    this.#root = root;
    this.#places = ROW_NAMES.map((row) => row.map((name) => this.#button(name, { hover, click, look })));
    root.setAttribute("role", "grid");
    root.setAttribute("aria-labelledby", "colors-title");
    root.append(...this.#places.map(rowOf));
    root.addEventListener("keydown", (event) => this.#key(event));
    root.addEventListener("focusin", (event) => this.#rove(event.target));
    this.#rove(this.#places[0][0]);
  }

  /** `said` are the counts in words; `count`, a number or null, stands on the colour. */
  update(subject, count, said) {
    const button = this.#buttons.get(subject);
    if (!button) return;
    button.setAttribute("aria-label", `${subject}: ${said}`);
    write(button.firstChild, count ? compact.format(count) : "");
  }

  #button(name, { hover, click, look }) {
    const color = colorOf(name);
    const count = element("span", { "aria-hidden": "true" });
    const button = element("button", { type: "button", tabindex: "-1", "aria-label": name }, count);
    button.dataset.subject = name;
    button.style.setProperty("--color", color);
    button.style.setProperty("--ink", inkOn(color));
    button.addEventListener("pointerenter", (event) => {
      if (event.pointerType !== "touch") hover(name);
      look(name);
    });
    button.addEventListener("focus", () => look(name));
    button.addEventListener("click", (event) => {
      click(name, event.timeStamp);
      look(name);
    });
    this.#buttons.set(name, button);
    return button;
  }

  #key(event) {
    // A key held down is one click, not thirty a second.
    if (event.repeat && (event.key === "Enter" || event.key === " ")) event.preventDefault();
    const target = this.#neighbour(event);
    if (!target) return;
    event.preventDefault();
    target.focus();
  }

  #neighbour({ key, ctrlKey, target }) {
    const y = this.#places.findIndex((row) => row.includes(target));
    const row = this.#places[y];
    const x = row?.indexOf(target);
    const last = this.#places.length - 1;
    switch (key) {
      case "ArrowLeft":
        return row?.[x - 1];
      case "ArrowRight":
        return row?.[x + 1];
      case "ArrowUp":
        return this.#places[y - 1]?.[x];
      case "ArrowDown":
        return this.#places[y + 1]?.[x];
      case "Home":
        return (ctrlKey ? this.#places[0] : row)?.at(0);
      case "End":
        return (ctrlKey ? this.#places[last] : row)?.at(-1);
    }
  }

  #rove(button) {
    this.#root.querySelector('[tabindex="0"]')?.setAttribute("tabindex", "-1");
    button.setAttribute("tabindex", "0");
  }
}

/** The line under the grid: the colour last pointed at, with its counts in full. */
export class Readout {
  subject = null;
  #swatch;
  #name;
  #counts;

  constructor(line) {
    this.#swatch = line.querySelector("[data-swatch]");
    this.#name = line.querySelector("[data-name]");
    this.#counts = line.querySelector("[data-counts]");
  }

  look(subject) {
    this.subject = subject;
    this.#swatch.hidden = false;
    this.#swatch.style.setProperty("--color", colorOf(subject));
    write(this.#name, subject);
  }

  update(said) {
    write(this.#counts, said);
  }
}

function rowOf(buttons) {
  const cells = buttons.map((button) => element("div", { role: "gridcell" }, button));
  return element("div", { role: "row" }, ...cells);
}
