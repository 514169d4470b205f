/** Heat from 0 to 1: pale yellow to dark red, and little heat shows through. */
export function interpolateHeat(share) {
  const t = Math.sqrt(Math.min(Math.max(share, 0), 1));
  return `hsl(${Math.round(55 - 55 * t)} 92% ${Math.round(62 - 24 * t)}% / ${(0.3 + 0.6 * t).toFixed(2)})`;
}
