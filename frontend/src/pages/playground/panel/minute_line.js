import { LineChart, peakOf, sumOf } from "../../../charts/line_chart.js";
import { counted } from "../../../lib/element.js";
import { clockTime, nounOf } from "../../../lib/words.js";

const MARGIN = { top: 8, right: 10, bottom: 20, left: 38 };

/** The line of a type's counts per minute; `typeOf()` says which type that is now. */
export function minuteLine(figure, typeOf) {
  return new LineChart(figure, {
    margin: MARGIN,
    rules: 3,
    timesApart: 137,
    read: ({ at, total }, { pointed }) => `${pointed ? clockTime.format(at) : "this minute"}: ${total}`,
    describe: (points) => describe(points, nounOf(typeOf())),
  });
}

function describe(points, noun) {
  if (points.length === 0) return `${noun}s per minute: not known yet`;
  const peak = peakOf(points);
  const highest = peak.total > 0 ? `; most ${peak.total} at ${clockTime.format(peak.at)}` : "";
  return `${counted(sumOf(points), noun)} in the last ${points.length} minutes${highest}`;
}
