import { BUCKETS_MS, DAY_MS, HOUR_MS, MINUTE_MS } from "../lib/time.js";

const RANGES = { hour: HOUR_MS, day: DAY_MS, week: 7 * DAY_MS, month: 30 * DAY_MS };
const MOST_POINTS = 200;
const DAYS_OF_EVER = 60;

/**
 * The time that is looked at: {from, to, ongoing}, in milliseconds and whole minutes; `to` is the
 * end of the minute of now unless it is custom. {from: null, ongoing: true} is ever. Null: the
 * custom time makes no sense.
 */
export function periodOf({ range, from, to }, now) {
  const end = Math.ceil((now + 1) / MINUTE_MS) * MINUTE_MS;
  if (range === "ever") return { from: null, to: end, ongoing: true };
  if (range !== "custom") return { from: end - RANGES[range], to: end, ongoing: true };
  const start = Date.parse(from);
  const until = Math.min(to ? Date.parse(to) : end, end);
  if (!(start < until)) return null;
  return { from: start, to: until, ongoing: until === end };
}

/** What to ask for a line of this period: `from` includes the period before, to draw both. */
export function seriesOf({ from, to }, compare) {
  if (from === null) return { bucket: "day", from: to - DAYS_OF_EVER * DAY_MS, to };
  const fits = ([, step]) => (to - from) / step <= MOST_POINTS;
  const [bucket] = Object.entries(BUCKETS_MS).find(fits) ?? ["day"];
  return { bucket, from: compare ? from - (to - from) : from, to };
}

/** "+12 %", "−3 %", "new", or "" where nothing can be said. */
export function changeOf(total, before) {
  if (before === undefined || (total === 0 && before === 0)) return "";
  if (before === 0) return "new";
  const percent = Math.round((100 * (total - before)) / before);
  return percent > 999 ? `×${Math.round(total / before)}` : `${percent < 0 ? "−" : "+"}${Math.abs(percent)} %`;
}
