import { toJson } from "../base/json.js";

// The server knows an id for 24 h at least: an older event might count a second time.
const SEND_WITHIN_MS = 23 * 3_600_000;

const sizeOf = (event) => new Blob([toJson(event)]).size + 1; // and a comma
const eventsOf = (entries) => entries.map(({ event }) => event);
const ageOf = ({ occurred_at }) => Date.now() - Date.parse(occurred_at) || 0;

/** An event of another page; this one's own age by a clock that nobody sets. */
export const isTooOld = (event) => ageOf(event) > SEND_WITHIN_MS;

/**
 * Events not yet confirmed, in order, bounded; one batch at most is under way, the first of them.
 * The server takes 1,000 events and 1 MiB in a request.
 */
export function createOutbox({ capacity = 5_000, batchSize = 1_000, batchBytes = 1_000_000 } = {}) {
  let entries = [];
  let underWay = 0;
  let most = batchSize;
  const entryOf = (event, age) => ({ event, bytes: sizeOf(event), since: performance.now() - age });
  const putBack = () => {
    underWay = 0;
  };
  return {
    room: () => capacity - entries.length,

    unconfirmed: () => eventsOf(entries),

    /** Puts older events before those that wait. */
    restore(events) {
      const here = new Set(entries.map(({ event }) => event.id));
      const missing = events.filter(({ id }) => !here.has(id));
      entries.splice(underWay, 0, ...missing.map((event) => entryOf(event, ageOf(event))));
    },

    /** False when the box is full: the newest is the one refused. */
    add: (event) => entries.length < capacity && entries.push(entryOf(event, 0)) > 0,

    /** The next batch, which stays in the box until `confirm` or `putBack`. */
    take(bytes = batchBytes) {
      if (underWay > 0) return [];
      underWay = portion(entries, most, bytes);
      return eventsOf(entries.slice(0, underWay));
    },

    confirm() {
      entries.splice(0, underWay);
      putBack();
      most = Math.min(batchSize, most * 2);
    },

    /** The same events with the same ids go first next time: sent twice, they count once. */
    putBack,

    /**
     * It was refused as a whole: half of it next time, until what is wrong with it stands alone;
     * and that goes last, so that the others don't wait for it.
     */
    shrink() {
      most = underWay >> 1 || 1;
      if (underWay === 1) entries.push(entries.shift());
      putBack();
    },

    /** Takes out what has waited for too long. */
    discard() {
      const oldest = performance.now() - SEND_WITHIN_MS;
      const gone = entries.filter(({ since }, at) => at >= underWay && since < oldest);
      entries = entries.filter((entry) => !gone.includes(entry));
      return eventsOf(gone);
    },

    /** The first of all, under way or not, that fit into so many bytes as JSON. */
    first: (bytes) => eventsOf(entries.slice(0, portion(entries, Infinity, bytes))),
  };
}

/** How many of the first make an array of no more than so many bytes; one that is larger is alone. */
function portion(entries, most, mostBytes) {
  let room = mostBytes - 2; // the brackets
  const rest = entries.findIndex(({ bytes }, at) => at >= most || ((room -= bytes) < 0 && at > 0));
  return rest < 0 ? entries.length : rest;
}
