// Binomial, and twice: a hand rests near a place rather than in one cell of a grid.
const KERNEL = [1, 4, 6, 4, 1].map((weight) => weight / 16);
const PASSES = 2;
// From nothing to the hottest: red, green, blue, opacity. On white and on black alike.
const COLORS = [
  [255, 214, 92, 0],
  [255, 196, 70, 120],
  [252, 133, 44, 190],
  [226, 52, 44, 225],
  [160, 8, 66, 240],
];

/** How hot each cell of a grid is, from 0 to 1, row by row. `cells` are [cell, n]; n is a count. */
export function heatOf({ columns, rows, cells }) {
  let heat = new Float32Array(columns * rows);
  for (const [cell, n] of cells) heat[cell] = n;
  for (let pass = 0; pass < PASSES; pass++) {
    heat = softened(heat, (i) => i % columns, columns, 1);
    heat = softened(heat, (i) => Math.floor(i / columns), rows, columns);
  }
  const most = heat.reduce((a, b) => Math.max(a, b), 0);
  return most === 0 ? heat : heat.map((value) => value / most);
}

/** Each cell with a share of its neighbours, `step` apart, in its line of `length`. */
function softened(heat, placeOf, length, step) {
  const reach = KERNEL.length >> 1;
  return heat.map((_, i) => {
    const place = placeOf(i);
    let sum = 0;
    for (let d = -reach; d <= reach; d++) {
      if (place + d >= 0 && place + d < length) sum += KERNEL[d + reach] * heat[i + d * step];
    }
    return sum;
  });
}

/** The colour of a heat, as [red, green, blue, opacity] of 255; the root shows what is rare too. */
export function colorOfHeat(share) {
  const at = Math.sqrt(Math.min(Math.max(share, 0), 1)) * (COLORS.length - 1);
  const below = Math.min(Math.floor(at), COLORS.length - 2);
  return COLORS[below].map((from, i) => Math.round(from + (COLORS[below + 1][i] - from) * (at - below)));
}
