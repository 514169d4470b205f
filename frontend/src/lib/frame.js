const LONGEST_STEP_MS = 50;
// Nobody reads faster; the frames between have time for what moves.
const UPDATES_APART_MS = 30;

/**
 * Draws once per animation frame at most, and updates in every second of 60 frames a second, however
 * many came since the last. `draw(updated, elapsed)` gets whether there is an update to show, and the
 * milliseconds since the last frame; it returns true while something moves and wants another frame.
 */
export class Frame {
  #draw;
  #apart;
  #updated = false;
  #request = null;
  #updatedAt = -Infinity;
  #drawnAt = 0;

  constructor(draw, { apart = UPDATES_APART_MS } = {}) {
    this.#draw = draw;
    this.#apart = apart;
  }

  /** Something is to be shown. */
  ask() {
    this.#updated = true;
    this.#next();
  }

  #run(now) {
    const updated = this.#updated && now - this.#updatedAt >= this.#apart;
    const elapsed = Math.min(now - this.#drawnAt, LONGEST_STEP_MS);
    this.#request = null;
    this.#drawnAt = now;
    if (updated) {
      this.#updated = false;
      this.#updatedAt = now;
    }
    if (this.#draw(updated, elapsed) || this.#updated) this.#next();
  }

  #next() {
    this.#request ??= requestAnimationFrame((now) => this.#run(now));
  }
}
