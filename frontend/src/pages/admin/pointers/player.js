import { write } from "../../../lib/element.js";
import { clockOf, Playback } from "./playback.js";

// A tab that nobody saw goes on where it was.
const LONGEST_STEP_MS = 500;

/** The buttons that play a session's way. `moved()` hears that there is something to draw. */
export class Player {
  #root;
  #moved;
  #playback = new Playback([]);
  #steppedAt = 0;

  constructor(root, moved) {
    this.#root = root;
    this.#moved = moved;
    this.#find("[data-play]").addEventListener("click", () => this.toggle());
    this.#find("[data-seek]").addEventListener("input", ({ target }) => {
      this.#playback.seek(Number(target.value));
      moved();
    });
  }

  #find(selector) {
    return this.#root.querySelector(selector);
  }

  load(moves) {
    this.#playback = new Playback(moves);
    this.#root.disabled = moves.length === 0;
    this.#find("[data-seek]").max = String(Math.ceil(this.#playback.length));
    this.#moved();
  }

  toggle() {
    if (this.#playback.playing) this.#playback.playing = false;
    else this.#playback.play();
    this.#steppedAt = performance.now();
    this.#moved();
  }

  /** Goes on for the time since the last step, however few frames there are; true while it plays. */
  step() {
    const now = performance.now();
    const elapsed = Math.min(now - this.#steppedAt, LONGEST_STEP_MS);
    this.#steppedAt = now;
    this.#playback.step(elapsed, Number(this.#find("[data-speed]").value));
    write(this.#find("[data-play]"), this.#playback.playing ? "Pause" : "Play");
    this.#showPosition(this.#playback);
    return this.#playback.playing;
  }

  /** Where the pointer was lately; nothing before it was played. */
  get trail() {
    return this.#playback.at > 0 || this.#playback.playing ? this.#playback.trail : [];
  }

  #showPosition({ at, length }) {
    const seek = this.#find("[data-seek]");
    const said = `${clockOf(at)} of ${clockOf(length)}`;
    write(this.#find("[data-at]"), said);
    if (Number(seek.value) !== Math.round(at)) seek.value = String(Math.round(at));
    if (seek.ariaValueText !== said) seek.ariaValueText = said;
  }
}
