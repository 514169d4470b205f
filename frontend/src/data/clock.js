// The Date header has whole seconds: a smaller difference is not worth a correction.
const TOLERANCE_MS = 2_000;

/** The server's time: a laptop whose clock is wrong would else ask for the wrong hour. */
export class Clock {
  #offset = 0;

  learn(response) {
    const served = Date.parse(response.headers.get("date") ?? "");
    if (Number.isNaN(served)) return;
    const offset = served - Date.now();
    this.#offset = Math.abs(offset) > TOLERANCE_MS ? offset : 0;
  }

  now() {
    return Date.now() + this.#offset;
  }
}
