// The search box of the docs. All of the rest of each page is there without this.

const form = document.querySelector("#docs-search");
const input = form.elements.words;
const found = document.querySelector("#docs-found");
const results = document.querySelector("#docs-results");
const contents = document.querySelector("#docs-contents");
const SHOWN = 20;
const AROUND = 70;

let entries;

form.hidden = false;
// On a phone the contents stand before the page itself, and are longer than the screen.
contents.open = matchMedia("(min-width: 60rem)").matches;
form.addEventListener("submit", (event) => {
  event.preventDefault();
  results.querySelector("a")?.click();
});
input.addEventListener("focus", load);
input.addEventListener("input", show);
results.addEventListener("click", ({ target }) => target.closest("a") && clear());

document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, textarea, select, [contenteditable]")) return;
  event.preventDefault();
  input.focus();
});

form.addEventListener("keydown", (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (event.key === "Escape") {
    clear();
    input.focus();
  }
  if (!step) return;
  event.preventDefault();
  const stops = [input, ...results.querySelectorAll("a")];
  stops[Math.min(Math.max(stops.indexOf(event.target) + step, 0), stops.length - 1)].focus();
});

async function load() {
  try {
    entries ??= (await (await fetch("/docs/search.json")).json()).map((entry) => ({
      ...entry,
      titled: `${entry.title} ${entry.page}`.toLowerCase(),
      whole: `${entry.title} ${entry.page} ${entry.text}`.toLowerCase(),
    }));
    show();
  } catch {
    found.textContent = "The search can't be loaded: try again.";
  }
}

function clear() {
  input.value = "";
  show();
}

function show() {
  const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
  results.replaceChildren();
  found.textContent = "";
  if (!words.length || !entries) return;
  const ranked = entries
    .filter(({ whole }) => words.every((word) => whole.includes(word)))
    .map((entry) => [score(entry, words), entry])
    .sort(([a], [b]) => b - a);
  found.textContent = `${ranked.length} ${ranked.length === 1 ? "place" : "places"}`;
  results.append(...ranked.slice(0, SHOWN).map(([, entry]) => item(entry, words)));
}

/** A word in a title weighs more than any number of them in a text. */
function score({ titled, whole }, words) {
  return words.reduce((sum, word) => {
    const inTitle = titled.includes(word) ? 10 : 0;
    return sum + inTitle + Math.min(whole.split(word).length - 1, 5);
  }, 0);
}

function item({ page, title, address, text }, words) {
  const link = document.createElement("a");
  link.href = address;
  const where = document.createElement("small");
  where.textContent = page;
  const excerpt = document.createElement("span");
  excerpt.append(...marked(around(text, words[0]), words));
  link.append(...marked(title, words), " ", where, excerpt);
  const row = document.createElement("li");
  row.append(link);
  return row;
}

/** The part of a text where a word stands. */
function around(text, word) {
  const at = Math.max(text.toLowerCase().indexOf(word), 0);
  const start = Math.max(at - AROUND, 0);
  const part = text.slice(start, at + word.length + AROUND).trim();
  return `${start ? "…" : ""}${part}${at + word.length + AROUND < text.length ? "…" : ""}`;
}

/** The text as nodes, with each of the words marked. */
function marked(text, words) {
  const escaped = words.map((word) => word.replace(/[^\w]/g, "\\$&"));
  return text.split(new RegExp(`(${escaped.join("|")})`, "i")).map((part, index) => {
    if (index % 2 === 0) return part;
    const mark = document.createElement("mark");
    mark.textContent = part;
    return mark;
  });
}
