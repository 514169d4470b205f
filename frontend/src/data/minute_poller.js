import { MINUTE_MS } from "../lib/time.js";
import { between, Poller } from "./poller.js";

// A minute's last events are committed a moment after it ended.
const AFTER_MINUTE = { least: 1_000, most: 4_000 };

const iso = (time) => new Date(time).toISOString();

/**
 * Keeps a MinuteSeries equal to `/v1/stats`: reads it when told to, after each minute, and once
 * the counts have come to rest.
 */
export function minutePoller({ api, clock, type, series, changed = () => {}, times = {} }) {
  const untilNextMinute = () => MINUTE_MS - (clock.now() % MINUTE_MS) + between(AFTER_MINUTE);
  return new Poller({
    async read(signal) {
      const { from, to } = series.window(clock.now());
      const query = { type, from: iso(from), to: iso(to), bucket: "minute" };
      const answer = await api.stats(query, signal);
      return { to, minutes: answer.series };
    },
    take({ to, minutes }) {
      series.load(minutes);
      changed();
      const wrongHour = series.window(clock.now()).to !== to;
      return wrongHour ? 0 : untilNextMinute();
    },
    times,
  });
}
