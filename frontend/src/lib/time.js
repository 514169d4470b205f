export const MINUTE_MS = 60_000;
export const HOUR_MS = 60 * MINUTE_MS;
export const DAY_MS = 24 * HOUR_MS;

/** How long a bucket of /v1/stats's series is. */
export const BUCKETS_MS = { minute: MINUTE_MS, hour: HOUR_MS, day: DAY_MS };

/** The minute that this time is in, by its start. */
export function minuteOf(time) {
  return Math.floor(time / MINUTE_MS) * MINUTE_MS;
}
