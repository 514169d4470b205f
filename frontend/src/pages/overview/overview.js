import { Api } from "../../data/api.js";
import { Clock } from "../../data/clock.js";
import { periodOf } from "../../data/period.js";
import { write } from "../../lib/element.js";
import { Frame } from "../../lib/frame.js";
import { titleOf } from "../../lib/words.js";
import { recall, remember } from "../../sdk/page/session.js";
import { showProject, status } from "../shared/header.js";
import { Keys } from "../shared/keys.js";
import { openLive } from "../shared/live.js";
import { offerTypes, readTypes } from "../shared/types.js";
import { onVisits } from "../shared/visits.js";
import { List } from "./list.js";
import { OverTime } from "./over_time.js";

const find = (selector) => document.querySelector(selector);
const chosen = { range: "day", from: "", to: "", compare: true, type: "click", ...recall("overview") };
const long = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const iso = (time) => new Date(time).toISOString().replace(/\.000Z$/, "Z");

const clock = new Clock();
const keys = new Keys(find("#keys"), { use: useKey, asks: showMissing });
const key = () => keys.get("read_key");
const rejected = (message) => keys.rejected("read_key", message);
const api = new Api({ key, rejected, clock });
const live = openLive({ keys, role: "read_key" });
const changed = new Set();
const frame = new Frame((updated) => updated && drawChanged());

// What all cards share.
const page = {
  api,
  now: () => clock.now(),
  period: () => periodOf(chosen, clock.now()),
  compares: () => chosen.compare && chosen.range !== "ever",
  time: ({ from, to, ongoing }) =>
    from === null ? {} : { from: iso(from), to: ongoing ? undefined : iso(to) },
  names: ({ from, to }) => (from === null ? ["ever"] : [iso(from), iso(to)]),
  readable: () => key() !== null && page.period() !== null,
  read: (poller) => (page.readable() ? poller.again() : poller.stop()),
  changed(card) {
    changed.add(card);
    frame.ask();
  },
};
const CARDS = [
  { id: "pages", type: "page_view", title: "Pages", heads: ["Page", "Views"], unique: "unique_page_view" },
  {
    id: "articles",
    type: "article_view",
    title: "Articles",
    heads: ["Article", "Views"],
    unique: "unique_article_view",
  },
  { id: "referrers", type: "referral", title: "Referrers", heads: ["From, to", "Views"] },
  { id: "buttons", type: "button_click", title: "Buttons", heads: ["Button", "Clicks"] },
  { id: "subjects", type: chosen.type, title: titleOf(chosen.type), heads: ["Subject", "Count"] },
];
const lists = CARDS.map((card) => new List(find("#list"), card, page));
const subjects = lists.at(-1);
const ends = lists.map(() => () => {});
const overTime = new OverTime(find("#trend"), chosen.type, page);
const cards = [...lists, overTime];

function drawChanged() {
  for (const card of changed) card.draw();
  changed.clear();
}

function watch(i) {
  const { type, unique } = lists[i];
  ends[i]();
  const end = live.subscribe({ totals: type }, (message) => {
    lists[i].receive(message);
    if (lists[i] === subjects) overTime.receive(message);
  });
  const endUnique = unique
    ? live.subscribe({ totals: unique }, (message) => lists[i].receive(message, true))
    : () => {};
  ends[i] = () => [end, endUnique].forEach((each) => each());
}

// --- What the reader picks: a time, a type, a key.

function usePeriod() {
  const { range, from, to, compare } = find("#period").elements;
  Object.assign(chosen, { range: range.value, from: from.value, to: to.value, compare: compare.checked });
  remember("overview", chosen);
  readAll();
}

function readAll() {
  const period = page.period();
  find("#period").elements.compare.disabled = chosen.range === "ever";
  write(find("#period [data-said]"), sayPeriod(period));
  for (const card of cards) card.again();
}

function sayPeriod(period) {
  if (period === null) return "";
  if (period.from === null) return "Everything that was ever counted. The line shows 60 days.";
  const until = period.ongoing ? "now" : long.format(period.to);
  return `${long.format(period.from)} until ${until}`;
}

function useType(type) {
  chosen.type = type;
  remember("overview", chosen);
  subjects.use(type, titleOf(type));
  overTime.use(type);
  watch(lists.length - 1);
}

function useKey(role, key) {
  if (key === null) {
    live.stop();
    for (const card of cards) card.stop();
    return;
  }
  live.start(key);
  readAll();
  offer();
}

function showMissing(roles) {
  if (roles.length > 0) status.show({ name: "refused" });
  for (const part of document.querySelectorAll("#trend, #subjects, #lists")) {
    part.hidden = roles.length > 0;
  }
}

async function offer() {
  if (key() !== null) offerTypes([find("[data-type]")], await readTypes(api));
}

function setUp() {
  const { range, from, to, compare } = find("#period").elements;
  range.value = chosen.range;
  from.value = chosen.from;
  to.value = chosen.to;
  compare.checked = chosen.compare;
  find("#period").addEventListener("change", usePeriod);
  find("#period").addEventListener("submit", (event) => event.preventDefault());
  const types = find("[data-type]");
  offerTypes([types], [chosen.type]);
  types.value = chosen.type;
  types.addEventListener("change", () => useType(types.value));
  types.addEventListener("focus", offer);
  find("#lists").append(...lists.slice(0, -1).map(({ node }) => node));
  find("#trend").after(subjects.node);
  lists.forEach((_, i) => watch(i));
}

onVisits({
  leave: () => live.stop(),
  comeBack() {
    if (key() === null) return;
    live.start(key());
    readAll();
  },
  hurry: () => live.hurry(),
});
setUp();
keys.start().then(showProject);
