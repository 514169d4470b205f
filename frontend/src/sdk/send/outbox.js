const encoder = new TextEncoder();
const sizeOf = (event) => encoder.encode(JSON.stringify(event)).length + 1; // and a comma

/** Events not yet confirmed, in order, bounded; one batch at most is under way. */
export class Outbox {
  #waiting = [];
  #underWay = [];
  #capacity;
  #largestBatch;
  #batchSize;
  #batchBytes;
  dropped = 0;

  // The server takes 1,000 events and 1 MiB in a request.
  constructor({ capacity = 5_000, batchSize = 1_000, batchBytes = 1_000_000 } = {}) {
    this.#capacity = capacity;
    this.#largestBatch = this.#batchSize = batchSize;
    this.#batchBytes = batchBytes;
  }

  get size() {
    return this.#waiting.length + this.#underWay.length;
  }

  get room() {
    return this.#capacity - this.size;
  }

  /** Puts older events, as many as there is room for, before those that wait. */
  restore(events) {
    const here = new Set(this.unconfirmed().map(({ id }) => id));
    const missing = events.filter(({ id }) => !here.has(id)).slice(0, this.room);
    this.#waiting.unshift(...missing.map((event) => ({ event, bytes: sizeOf(event) })));
  }

  /** False, and counted in `dropped`, when the box is full: the newest is the one refused. */
  add(event) {
    if (this.room <= 0) {
      this.dropped += 1;
      return false;
    }
    this.#waiting.push({ event, bytes: sizeOf(event) });
    return true;
  }

  /** The next batch, which stays in the box until `confirm` or `putBack`. */
  take() {
    if (this.#underWay.length > 0) return [];
    const [first = []] = portions(this.#waiting, this.#batchSize, this.#batchBytes);
    this.#underWay = this.#waiting.splice(0, first.length);
    return eventsOf(this.#underWay);
  }

  confirm() {
    this.#underWay = [];
    this.#batchSize = Math.min(this.#largestBatch, this.#batchSize * 2);
  }

  /** The same events with the same ids go first next time: sent twice, they count once. */
  putBack() {
    this.#waiting = [...this.#underWay, ...this.#waiting];
    this.#underWay = [];
  }

  /** It was refused as a whole: half of it next time, until what is wrong with it stands alone. */
  shrink() {
    this.#batchSize = Math.max(1, this.#underWay.length >> 1);
    this.putBack();
  }

  /** Takes out what waits and fits this condition. */
  discard(condition) {
    const gone = this.#waiting.filter(({ event }) => condition(event));
    if (gone.length > 0) this.#waiting = this.#waiting.filter((entry) => !gone.includes(entry));
    return eventsOf(gone);
  }

  unconfirmed() {
    return eventsOf([...this.#underWay, ...this.#waiting]);
  }

  /** All that is unconfirmed, the newest first, in arrays of no more than so many bytes as JSON. */
  inPortions(bytes) {
    const newestFirst = [...this.#underWay, ...this.#waiting].reverse();
    return portions(newestFirst, Infinity, bytes).map(eventsOf);
  }
}

const eventsOf = (entries) => entries.map(({ event }) => event);

function portions(entries, most, mostBytes) {
  const found = [];
  let room = 0;
  for (const entry of entries) {
    const last = found.at(-1);
    if (last && last.length < most && entry.bytes <= room) {
      last.push(entry);
      room -= entry.bytes;
    } else {
      found.push([entry]);
      room = mostBytes - 2 - entry.bytes; // the brackets
    }
  }
  return found;
}
