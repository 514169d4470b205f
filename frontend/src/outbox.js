/** Events not yet confirmed, in order, bounded; one batch at most is under way. */
export class Outbox {
  #waiting = [];
  #underWay = [];
  #capacity;
  #batchSize;
  dropped = 0;

  constructor({ capacity = 5_000, batchSize = 1_000 } = {}) {
    this.#capacity = capacity;
    this.#batchSize = batchSize;
  }

  get size() {
    return this.#waiting.length + this.#underWay.length;
  }

  /** False, and counted in `dropped`, when the box is full: the newest is the one refused. */
  add(event) {
    if (this.size >= this.#capacity) {
      this.dropped += 1;
      return false;
    }
    this.#waiting.push(event);
    return true;
  }

  /** The next batch, which stays in the box until `confirm` or `putBack`. */
  take() {
    if (this.#underWay.length > 0) return [];
    this.#underWay = this.#waiting.splice(0, this.#batchSize);
    return this.#underWay;
  }

  confirm() {
    this.#underWay = [];
  }

  /** The same events with the same ids go first next time: sent twice, they count once. */
  putBack() {
    this.#waiting = [...this.#underWay, ...this.#waiting];
    this.#underWay = [];
  }

  unconfirmed() {
    return [...this.#underWay, ...this.#waiting];
  }
}
