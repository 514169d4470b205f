const LONGEST_STEP_MS = 50;

/**
 * Draws once per animation frame at most, however much was said since the last. `draw(news,
 * elapsed)` gets whether anybody asked, and the milliseconds since the last frame; it returns
 * true while something moves and wants another frame.
 */
export class Frame {
  #draw;
  #news = false;
  #asked = null;
  #drawnAt = 0;

  constructor(draw) {
    this.#draw = draw;
  }

  /** Something is to be shown. */
  ask() {
    this.#news = true;
    this.#asked ??= requestAnimationFrame((now) => this.#run(now));
  }

  #run(now) {
    const news = this.#news;
    const elapsed = Math.min(now - this.#drawnAt, LONGEST_STEP_MS);
    this.#news = false;
    this.#asked = null;
    this.#drawnAt = now;
    if (this.#draw(news, elapsed)) this.#asked ??= requestAnimationFrame((at) => this.#run(at));
  }
}
