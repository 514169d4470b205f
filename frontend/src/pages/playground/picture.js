import { write } from "../../lib/element.js";
import { minuteOf } from "../../lib/time.js";
import { countedOf, titleOf } from "../../lib/words.js";
import { CountTable } from "./count_table.js";
import { Grid, Readout } from "./grid.js";
import { MinuteTable } from "./minute_table.js";

const find = (selector) => document.querySelector(selector);

/** Everything on the page at / that shows counts: the panels, the grid, and the same as tables. */
export class Picture {
  #panels;
  #clock;
  #changed;
  #grid;
  #readout = new Readout(find("#readout"));
  #counts;
  #minutes = new MinuteTable(find("#minutes"));
  #minute = 0;

  /** `hover` and `click` are told what is done on the grid; `changed` asks for a draw. */
  constructor({ panels, clock, changed, hover, click }) {
    this.#panels = panels;
    this.#clock = clock;
    this.#changed = changed;
    this.#counts = new CountTable(find("#counts"), this.#types());
    const look = (subject) => this.#look(subject);
    this.#grid = new Grid(find("#grid"), { hover, click, look });
    // A line of minutes moves on though nothing is counted.
    setInterval(() => minuteOf(clock.now()) !== this.#minute && changed(), 1_000);
  }

  /** Draws whatever was updated, once a frame at most. */
  draw() {
    const now = this.#clock.now();
    this.#minute = minuteOf(now);
    const changed = new Set(this.#panels.flatMap((panel) => [...panel.draw()]));
    for (const subject of changed) this.#drawSubject(subject);
    this.#minutes.update(this.#panels.map(({ series }) => series), now);
    if (this.#readout.subject !== null) this.#readout.update(this.#say(this.#readout.subject));
  }

  /** Moves the donuts on by one frame; true while there is more to move. */
  step(elapsed) {
    return this.#panels.map((panel) => panel.step(elapsed)).includes(true);
  }

  /** The panels show other types than before. */
  showTypes() {
    this.#counts.use(this.#types());
    this.#panels.forEach(({ type, shown }, i) => {
      for (const [subject] of shown.top(Infinity)) this.#drawSubject(subject);
      const name = ["clicks", "hovers"][i];
      for (const head of document.querySelectorAll(`[data-of="${name}"]`)) write(head, titleOf(type));
    });
    this.#changed();
  }

  #types() {
    return this.#panels.map(({ type }) => type);
  }

  #drawSubject(subject) {
    const counts = this.#panels.map(({ shown }) => shown.count(subject));
    this.#grid.update(subject, counts[0], this.#say(subject));
    this.#counts.update(subject, counts, this.#panels.some(({ shown }) => shown.has(subject)));
  }

  #say(subject) {
    return this.#panels.map(({ type, shown }) => countedOf(type, shown.count(subject))).join(", ");
  }

  #look(subject) {
    this.#readout.look(subject);
    this.#changed();
  }
}
