import { counted } from "./element.js";

const NOUNS = { click: "click", hover: "hover" };
/** "14:05", as the reader's country has it. */
export const clockTime = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });

const PLAIN = /^[a-z][a-z0-9]*([_-][a-z0-9]+)*$/;

/** What one of a type is called in a sentence: "5 clicks", but "5 events" of type `Käufe 2`. */
export function nounOf(type) {
  return NOUNS[type] ?? "event";
}

/** A heading for a type: "Page views" for page_view; a name of any other form stays as it is. */
export function titleOf(type) {
  if (!PLAIN.test(type)) return type;
  const words = type.replace(/[_-]/g, " ");
  const plural = /(s|data)$/.test(words) ? words : words.replace(/y$/, "ie") + "s";
  return plural[0].toUpperCase() + plural.slice(1);
}

/** "12 ms", "1.4 s" */
export function span(ms) {
  return ms < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(1)} s`;
}

/** "5 clicks", or that nobody knows. */
export function countedOf(type, n) {
  return n === null ? `${nounOf(type)}s not known` : counted(n, nounOf(type));
}
