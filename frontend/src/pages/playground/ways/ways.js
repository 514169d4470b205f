import { write } from "../../../lib/element.js";
import { span } from "../../../lib/words.js";

/** The switch between the ways of updating, with what each was measured to take. */
export class Ways {
  #form;

  constructor(form, { way, every }, changed) {
    this.#form = form;
    form.elements.way.value = way;
    form.elements.every.value = String(every);
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("change", () => changed(this.chosen));
  }

  get chosen() {
    const { way, every } = this.#form.elements;
    return { way: way.value, every: Number(every.value) };
  }

  /** What a stopwatch has measured so far. */
  show(stopwatch) {
    for (const radio of this.#form.elements.way) {
      const label = radio.closest("label");
      const time = stopwatch.of(radio.value);
      write(label.querySelector("[data-time]"), time ? span(time.last) : "–");
      if (time === null) continue;
      const reconciled = radio.value === "optimistic" && stopwatch.of("reconciled");
      const more = reconciled ? `, reconciled after ${span(reconciled.last)}` : "";
      write(label.querySelector("[data-note]"), `Median of ${time.n}: ${span(time.median)}${more}`);
    }
  }
}
