import { hsl, rgb } from "d3-color";

// 100 CSS colour names, no two alike: a row is a family of hues, light to dark. The order is
// only where a colour stands in the grid and the donut; its paint hangs on its name alone.
const ROWS = [
  [
    "mistyrose #ffe4e1", "salmon #fa8072", "tomato #ff6347", "rosybrown #bc8f8f",
    "orangered #ff4500", "red #ff0000", "indianred #cd5c5c", "crimson #dc143c", "brown #a52a2a",
    "maroon #800000",
  ],
  [
    "lightsalmon #ffa07a", "orange #ffa500", "sandybrown #f4a460", "darksalmon #e9967a",
    "darkorange #ff8c00", "coral #ff7f50", "peru #cd853f", "chocolate #d2691e",
    "sienna #a0522d", "saddlebrown #8b4513",
  ],
  [
    "lemonchiffon #fffacd", "yellow #ffff00", "bisque #ffe4c4", "khaki #f0e68c", "gold #ffd700",
    "tan #d2b48c", "darkkhaki #bdb76b", "goldenrod #daa520", "darkgoldenrod #b8860b",
    "olive #808000",
  ],
  [
    "greenyellow #adff2f", "lawngreen #7cfc00", "lime #00ff00", "yellowgreen #9acd32",
    "limegreen #32cd32", "olivedrab #6b8e23", "forestgreen #228b22", "green #008000",
    "darkolivegreen #556b2f", "darkgreen #006400",
  ],
  [
    "aquamarine #7fffd4", "palegreen #98fb98", "springgreen #00ff7f",
    "mediumspringgreen #00fa9a", "turquoise #40e0d0", "mediumaquamarine #66cdaa",
    "darkseagreen #8fbc8f", "lightseagreen #20b2aa", "mediumseagreen #3cb371",
    "seagreen #2e8b57",
  ],
  [
    "lightcyan #e0ffff", "paleturquoise #afeeee", "aqua #00ffff", "lightblue #add8e6",
    "lightskyblue #87cefa", "darkturquoise #00ced1", "deepskyblue #00bfff", "cadetblue #5f9ea0",
    "steelblue #4682b4", "teal #008080",
  ],
  [
    "lightsteelblue #b0c4de", "cornflowerblue #6495ed", "dodgerblue #1e90ff",
    "mediumslateblue #7b68ee", "royalblue #4169e1", "slateblue #6a5acd", "blue #0000ff",
    "mediumblue #0000cd", "midnightblue #191970", "navy #000080",
  ],
  [
    "lavender #e6e6fa", "thistle #d8bfd8", "mediumpurple #9370db", "mediumorchid #ba55d3",
    "darkorchid #9932cc", "blueviolet #8a2be2", "darkviolet #9400d3", "rebeccapurple #663399",
    "darkslateblue #483d8b", "indigo #4b0082",
  ],
  [
    "pink #ffc0cb", "plum #dda0dd", "violet #ee82ee", "hotpink #ff69b4", "orchid #da70d6",
    "fuchsia #ff00ff", "palevioletred #db7093", "deeppink #ff1493", "mediumvioletred #c71585",
    "purple #800080",
  ],
  [
    "white #ffffff", "lightgray #d3d3d3", "silver #c0c0c0", "darkgray #a9a9a9",
    "lightslategray #778899", "gray #808080", "slategray #708090", "dimgray #696969",
    "darkslategray #2f4f4f", "black #000000",
  ],
].map((row) => row.map((entry) => entry.split(" ")));

export const ROW_NAMES = ROWS.map((row) => row.map(([name]) => name));
export const NAMES = ROW_NAMES.flat();

const HEX = new Map(ROWS.flat());
const PLACE = new Map(NAMES.map((name, index) => [name, index]));

/** The paint of any subject: its CSS colour, or for other names one made from the name. */
export function colorOf(subject) {
  return HEX.get(subject) ?? hashedColor(subject);
}

/** Orders subjects the same way for ever: the grid's colours first, then others by hue and name. */
export function compareSubjects(a, b) {
  return placeOf(a) - placeOf(b) || (a < b ? -1 : a > b ? 1 : 0);
}

/** Black or white, whichever is easier to read on the colour (never under 4.5:1). */
export function inkOn(color) {
  return luminance(color) > 0.179 ? "#000000" : "#ffffff";
}

export function luminance(color) {
  const { r, g, b } = rgb(color);
  const linear = (c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4);
  return 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
}

function placeOf(subject) {
  return PLACE.get(subject) ?? NAMES.length + (fnv1a(subject) % 360);
}

// Kept to the middle of saturation and lightness, so that it shows on white and on near-black.
function hashedColor(subject) {
  const hash = fnv1a(subject);
  const hue = hash % 360;
  const saturation = 0.5 + ((hash >>> 9) % 4) * 0.1;
  const lightness = 0.42 + ((hash >>> 13) % 4) * 0.06;
  return hsl(hue, saturation, lightness).formatHex();
}

function fnv1a(text) {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) {
    hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  }
  // FNV's low bits are weak for short, similar names: mix them once more.
  hash ^= hash >>> 16;
  hash = Math.imul(hash, 0x85ebca6b);
  return (hash ^ (hash >>> 13)) >>> 0;
}
