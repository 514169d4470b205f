const LONGEST_PAUSE_MS = 2_000;

/** "1:05" */
export function clockOf(ms) {
  const seconds = Math.floor(ms / 1_000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

/** A session's way as it is played: where the pointer is at any time. Long pauses are cut short. */
export class Playback {
  #times = [];
  #moves;
  at = 0;
  playing = false;

  /** `moves` are [time, x, y, down], in order. */
  constructor(moves) {
    this.#moves = moves;
    let shown = 0;
    moves.forEach(([time], i) => {
      if (i > 0) shown += Math.min(Math.max(Date.parse(time) - Date.parse(moves[i - 1][0]), 0), LONGEST_PAUSE_MS);
      this.#times.push(shown);
    });
  }

  get length() {
    return this.#times.at(-1) ?? 0;
  }

  /** Moves on by so many milliseconds; at the end it stops. */
  step(elapsed, speed) {
    if (!this.playing) return;
    this.at = Math.min(this.at + elapsed * speed, this.length);
    if (this.at >= this.length) this.playing = false;
  }

  seek(at) {
    this.at = Math.min(Math.max(at, 0), this.length);
  }

  /** From the start again, if it is at its end. */
  play() {
    if (this.at >= this.length) this.at = 0;
    this.playing = this.#moves.length > 0;
  }

  /** The moves up to now, the last of them where the pointer is. */
  get trail() {
    let end = 0;
    while (end < this.#times.length && this.#times[end] <= this.at) end += 1;
    return this.#moves.slice(Math.max(0, end - 40), end);
  }
}
