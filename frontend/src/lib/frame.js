const LONGEST_STEP_MS = 50;
// Nobody reads faster; the frames between have time for what moves.
const NEWS_APART_MS = 30;

/**
 * Draws once per animation frame at most, and news in every second of 60 frames a second, however
 * much was said since the last. `draw(news, elapsed)` gets whether there is news to show, and the
 * milliseconds since the last frame; it returns true while something moves and wants another frame.
 */
export class Frame {
  #draw;
  #apart;
  #news = false;
  #asked = null;
  #newsAt = -Infinity;
  #drawnAt = 0;

  constructor(draw, { apart = NEWS_APART_MS } = {}) {
    this.#draw = draw;
    this.#apart = apart;
  }

  /** Something is to be shown. */
  ask() {
    this.#news = true;
    this.#request();
  }

  #run(now) {
    const news = this.#news && now - this.#newsAt >= this.#apart;
    const elapsed = Math.min(now - this.#drawnAt, LONGEST_STEP_MS);
    this.#asked = null;
    this.#drawnAt = now;
    if (news) {
      this.#news = false;
      this.#newsAt = now;
    }
    if (this.#draw(news, elapsed) || this.#news) this.#request();
  }

  #request() {
    this.#asked ??= requestAnimationFrame((now) => this.#run(now));
  }
}
