import { Clock } from "./clock.js";
import { CrowdForm } from "./crowd_form.js";
import { write } from "./element.js";
import { Frame } from "./frame.js";
import { Grid, Readout } from "./grid.js";
import { showProject, status } from "./header.js";
import { Keys } from "./keys.js";
import { MinuteTable } from "./minutes.js";
import { notesFor, showNotes } from "./notes.js";
import { Panel } from "./panel.js";
import { Poll } from "./poll.js";
import { Live } from "./sdk/live.js";
import { recall, remember } from "./sdk/session.js";
import { Store } from "./sdk/store.js";
import { Tracker } from "./sdk/track.js";
import { minuteOf } from "./series.js";
import { Stopwatch } from "./stopwatch.js";
import { CountTable } from "./table.js";
import { offerTypes, readTypes } from "./types.js";
import { onVisits } from "./visits.js";
import { Ways } from "./ways.js";
import { countedOf, titleOf } from "./words.js";

// Promise 3: what is on disk is shown within this time, or the promise of a number was wrong.
const SHOWN_WITHIN_MS = 2_000;

const find = (selector) => document.querySelector(selector);
const liveUrl = new URL("/v1/live", location.href.replace(/^http/, "ws")).href;
const chosen = { way: "optimistic", every: 5, clicks: "click", hovers: "hover", ...recall("home") };

const frame = new Frame(draw);
const redraw = () => frame.ask();
const clock = new Clock();
const parts = { clock, changed: redraw, refused: (message) => keys.refused("read_key", message) };
const clicks = new Panel(find("#clicks"), chosen.clicks, parts);
const hovers = new Panel(find("#hovers"), chosen.hovers, parts);
const panels = [clicks, hovers];
const keys = new Keys(find("#keys"), { use: useKey, asks: showMissing });
const tracker = new Tracker({
  changed: reconcile,
  refused: (message) => keys.refused("write_key", message),
  openStore: (to) => new Store(to),
});
const handlers = {
  ready: (message) => showProject(message.project),
  state: showState,
  fresh: () => panels.forEach((panel) => panel.readMinutes()),
  error: showError,
  refused: (reason) => keys.refused("read_key", reason),
};
const live = new Live({ url: liveUrl, handlers });
const poll = new Poll({ handlers });
const stopwatch = new Stopwatch();
const reconciling = new Stopwatch();
const ways = new Ways(find("#ways"), chosen, useWay);
const grid = new Grid(find("#grid"), { hover: count.bind(null, "hover"), click: press, look });
const readout = new Readout(find("#readout"));
const typesOf = () => panels.map(({ type }) => type);
const countTable = new CountTable(find("#counts"), typesOf());
const minuteTable = new MinuteTable(find("#minutes"));
const crowd = new CrowdForm(find("#crowd"), { url: liveUrl, key: () => keys.get("write_key") });

let source = null;
let ends = [];
let liveError = null;
let withdrawing = null;
let notCounted = 0;
let drawnMinute = 0;

// --- Counting.

function count(type, subject) {
  const promised = chosen.way === "optimistic" ? panels.filter((panel) => panel.type === type) : [];
  for (const panel of promised) panel.shown.expect(subject);
  tracker.track(type, subject);
  if (promised.length > 0) redraw();
}

function press(subject, at) {
  if (clicks.type === "click") {
    stopwatch.start(subject, clicks.shown.count(subject), at);
    reconciling.start(subject, clicks.totals.count(subject), at);
  }
  count("click", subject);
}

/** What was promised and not kept is taken back: refused, dropped, or long on disk and not shown. */
function reconcile() {
  const { unconfirmed, dropped, rejected } = tracker.state();
  const lost = dropped + rejected.count;
  if (lost > notCounted) withdraw();
  notCounted = lost;
  clearTimeout(withdrawing);
  if (unconfirmed === 0) withdrawing = setTimeout(withdrawLate, SHOWN_WITHIN_MS);
  redraw();
}

function withdrawLate() {
  if (tracker.state().unconfirmed === 0) withdraw();
}

function withdraw() {
  for (const { shown } of panels) shown.withdraw();
  redraw();
}

// --- The server speaks: note it, and draw it with the next frame.

function showState(state) {
  status.show(state);
  if (state.name === "live" || state.name === "polling") liveError = null;
  redraw();
}

function showError({ code, message }) {
  liveError = message ?? code;
  redraw();
}

// --- One draw at most per animation frame.

function draw(news, elapsed) {
  if (news) drawNews();
  return panels.map((panel) => panel.step(elapsed)).includes(true);
}

function drawNews() {
  drawnMinute = minuteOf(clock.now());
  const changed = new Set(panels.flatMap((panel) => [...panel.draw()]));
  for (const subject of changed) drawSubject(subject);
  minuteTable.update(panels.map(({ series }) => series), clock.now());
  if (readout.subject !== null) readout.update(say(readout.subject));
  showNotes(find("#notes"), notesFor(source?.state, tracker.state(), liveError));
  measure();
}

function drawSubject(subject) {
  const counts = panels.map(({ shown }) => shown.count(subject));
  grid.update(subject, counts[0], say(subject));
  countTable.update(subject, counts, panels.some(({ shown }) => shown.has(subject)));
}

function say(subject) {
  return panels.map(({ type, shown }) => countedOf(type, shown.count(subject))).join(", ");
}

// A task after this frame's: by then the browser has painted it.
function measure() {
  const seen = stopwatch.arrived((subject) => clicks.shown.count(subject));
  const told = reconciling.arrived((subject) => clicks.totals.count(subject));
  if (seen.length + told.length === 0) return;
  const { way } = chosen;
  setTimeout(() => {
    const now = performance.now();
    stopwatch.stop(way, seen, now);
    if (way === "optimistic") stopwatch.stop("reconciled", told, now);
    ways.show(stopwatch);
  });
}

function look(subject) {
  readout.look(subject);
  redraw();
}

// --- What the reader picks: a way of updating, types, keys.

function useWay({ way, every }) {
  Object.assign(chosen, { way, every });
  remember("home", chosen);
  stopwatch.abandon();
  reconciling.abandon();
  withdraw();
  poll.every(every * 1_000);
  follow(way === "polling" ? poll : live);
}

function follow(next) {
  if (next === source) return;
  for (const end of ends) end();
  source?.stop();
  source = next;
  ends = panels.map(subscribe);
  if (keys.get("read_key") !== null) source.start(keys.get("read_key"));
}

function subscribe(panel) {
  const { type } = panel;
  return source.subscribe({ totals: type }, (message) => {
    if (panel.type !== type) return;
    panel.take(message);
    redraw();
  });
}

function useType(panel, type) {
  const i = panels.indexOf(panel);
  panel.use(type);
  ends[i]();
  ends[i] = subscribe(panel);
  Object.assign(chosen, { clicks: clicks.type, hovers: hovers.type });
  remember("home", chosen);
  showTypes();
}

function showTypes() {
  stopwatch.abandon();
  reconciling.abandon();
  countTable.use(typesOf());
  panels.forEach(({ type, shown }, i) => {
    for (const [subject] of shown.top(Infinity)) drawSubject(subject);
    const name = ["clicks", "hovers"][i];
    for (const head of document.querySelectorAll(`[data-of="${name}"]`)) write(head, titleOf(type));
  });
  redraw();
}

async function offer() {
  const lists = [...document.querySelectorAll("[data-type], #types")];
  const key = keys.get("read_key");
  offerTypes(lists, key === null ? [] : await readTypes(key));
}

function useKey(role, key) {
  if (role === "write_key") return key && tracker.useKey(key);
  liveError = null;
  for (const panel of panels) panel.useKey(key);
  if (key === null) return source.stop();
  source.start(key);
  offer();
}

function showMissing(roles) {
  if (roles.includes("read_key")) status.show({ name: "refused" });
  crowd.allow(!roles.includes("write_key"));
}

function listen() {
  panels.forEach((panel) => {
    const list = find(`#${panel === clicks ? "clicks" : "hovers"} [data-type]`);
    offerTypes([list], [panel.type]);
    list.value = panel.type;
    list.addEventListener("change", () => useType(panel, list.value));
    list.addEventListener("focus", offer);
  });
  find("form.custom").addEventListener("submit", (event) => {
    event.preventDefault();
    const { type, subject } = event.target.elements;
    count(type.value, subject.value);
    subject.value = "";
  });
}

onVisits({
  leave() {
    tracker.leave((url, text) => navigator.sendBeacon(url, text));
    crowd.stop();
    source.stop();
  },
  comeBack() {
    tracker.comeBack();
    if (keys.get("read_key") !== null) source.start(keys.get("read_key"));
  },
  hurry() {
    source.hurry();
    tracker.hurry();
  },
});
setInterval(() => minuteOf(clock.now()) !== drawnMinute && redraw(), 1_000);
listen();
showTypes();
ways.show(stopwatch);
useWay(chosen);
keys.start().then(showProject);
