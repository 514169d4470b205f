import { Clock } from "./clock.js";
import { NAMES } from "./colours.js";
import { Donut } from "./donut.js";
import { write } from "./element.js";
import { Grid, Readout } from "./grid.js";
import { KeyForm, readSettings } from "./keys.js";
import { MinuteLine, MinuteTable } from "./minutes.js";
import { notesFor, showNotes } from "./notes.js";
import { Ranking } from "./ranking.js";
import { Live } from "./sdk/live.js";
import { Store } from "./sdk/store.js";
import { Tracker } from "./sdk/track.js";
import { MinuteSeries, minuteOf } from "./series.js";
import { StatsReader } from "./stats.js";
import { Status } from "./status.js";
import { CountTable } from "./table.js";
import { Totals } from "./totals.js";

const LONGEST_STEP_MS = 50;

const find = (selector) => document.querySelector(selector);
const liveUrl = new URL("/v1/live", location.href.replace(/^http/, "ws")).href;

const clock = new Clock();
const clicks = panel("click", find("#clicks"));
const hovers = panel("hover", find("#hovers"));
const panels = [clicks, hovers];
const tracker = new Tracker({
  changed: redraw,
  refused: (message) => keyRefused("write_key", message),
  openStore: (to) => new Store(to),
});
const live = new Live({
  url: liveUrl,
  handlers: {
    ready: (message) => showProject(message.project),
    state: showState,
    fresh: readMinutes,
    error: showError,
    refused: (reason) => keyRefused("read_key", reason),
  },
});
const grid = new Grid(find("#grid"), {
  hover: (subject) => tracker.track("hover", subject),
  click: (subject) => tracker.track("click", subject),
  look,
});
const readout = new Readout(find("#readout"));
const countTable = new CountTable(find("#counts"));
const minuteTable = new MinuteTable(find("#minutes"));
const status = new Status(find("#connection"));
const keyForm = new KeyForm(find("#keys"), useKeys);

let keys = { write_key: null, read_key: null };
let liveError = null;

function panel(type, root) {
  const series = new MinuteSeries();
  const refused = (message) => keyRefused("read_key", message);
  return {
    type,
    totals: new Totals(),
    series,
    stats: new StatsReader({ type, series, clock, changed: redraw, refused }),
    donut: new Donut(root.querySelector(".donut"), type),
    ranking: new Ranking(root.querySelector(".ranking")),
    line: new MinuteLine(root.querySelector(".minutes"), type, redraw),
  };
}

// --- The server speaks: note it, and draw it with the next frame.

function take(panel, message) {
  if (message.type === "snapshot") takeSnapshot(panel, message);
  else if (message.type === "update") takeUpdate(panel, message);
  redraw();
}

function takeSnapshot({ totals: state, series, stats }, { totals, total }) {
  state.snapshot(totals, total);
  for (const name of NAMES) changed.add(name);
  series.restart(total);
  stats.read();
}

function takeUpdate({ totals: state, series, stats }, { totals, total }) {
  state.update(totals, total);
  series.grow(total, clock.now());
  stats.grew();
}

function readMinutes() {
  for (const { stats } of panels) stats.read();
}

function showState(state) {
  status.show(state);
  if (state.name === "live") liveError = null;
  redraw();
}

function showError({ code, message }) {
  liveError = message ?? code;
  redraw();
}

// --- One draw at most per animation frame, however much was said since the last.

const changed = new Set();
let news = false;
let frame = null;
let drawnAt = 0;
let drawnMinute = 0;

function redraw() {
  news = true;
  frame ??= requestAnimationFrame(draw);
}

function draw(now) {
  frame = null;
  const elapsed = Math.min(now - drawnAt, LONGEST_STEP_MS);
  drawnAt = now;
  if (news) drawNews();
  const moving = panels.map(({ donut }) => donut.step(elapsed));
  if (moving.includes(true)) frame ??= requestAnimationFrame(draw);
}

function drawNews() {
  news = false;
  drawnMinute = minuteOf(clock.now());
  for (const panel of panels) drawPanel(panel);
  for (const subject of changed) drawSubject(subject);
  changed.clear();
  minuteTable.update(clicks.series, hovers.series, clock.now());
  if (readout.subject !== null) readout.update(countsOf(readout.subject));
  showNotes(find("#notes"), notesFor(live.state, tracker.state(), liveError));
}

function drawPanel({ totals, series, donut, ranking, line }) {
  const news = totals.takeChanged();
  for (const subject of news) changed.add(subject);
  if (news.size > 0 || totals.total !== donut.total) {
    donut.update(totals);
    ranking.update(totals);
  }
  line.update(series, clock.now());
}

function drawSubject(subject) {
  const counts = countsOf(subject);
  grid.update(subject, counts);
  countTable.update(subject, counts, clicks.totals.has(subject) || hovers.totals.has(subject));
}

function countsOf(subject) {
  return { click: clicks.totals.count(subject), hover: hovers.totals.count(subject) };
}

function look(subject) {
  readout.look(subject);
  redraw();
}

// --- Keys: given out with the page, or asked for.

async function start() {
  const settings = await readSettings();
  showProject(settings.project);
  const typed = KeyForm.typed();
  useKeys({
    write_key: settings.write_key ?? typed.write_key ?? null,
    read_key: settings.read_key ?? typed.read_key ?? null,
  });
}

function showProject(name) {
  if (!name) return;
  write(find("#project"), name);
  find("#project").hidden = false;
  document.title = `${name} · Livetally`;
}

function useKeys(given) {
  keys = { ...keys, ...given };
  if (given.write_key) tracker.useKey(given.write_key);
  if (given.read_key) watch(given.read_key);
  askForMissing();
}

function watch(key) {
  liveError = null;
  for (const { stats } of panels) stats.useKey(key);
  live.start(key);
}

function stopWatching() {
  liveError = null;
  for (const { stats } of panels) stats.useKey(null);
  live.stop();
}

/** The service may have got new keys since the page was loaded; ask people only after that. */
async function keyRefused(role, message) {
  const refused = keys[role];
  if (refused === null) return;
  keys[role] = null;
  if (role === "read_key") stopWatching();
  const settings = await readSettings();
  if (settings[role] && settings[role] !== refused) return useKeys({ [role]: settings[role] });
  askForMissing(message || "The key was refused.");
}

function askForMissing(message) {
  keyForm.ask(
    Object.keys(keys).filter((role) => keys[role] === null),
    message,
  );
  if (keys.read_key === null) status.show({ name: "refused" });
}

// --- Coming and going.

function leave() {
  tracker.leave((url, text) => navigator.sendBeacon(url, text));
  live.stop();
}

function comeBack({ persisted }) {
  if (!persisted) return;
  tracker.comeBack();
  if (keys.read_key !== null) live.start(keys.read_key);
}

function hurry() {
  live.hurry();
  tracker.hurry();
}

addEventListener("pagehide", leave);
addEventListener("pageshow", comeBack);
addEventListener("online", hurry);
addEventListener("offline", () => live.hurry());
document.addEventListener("visibilitychange", hurry);
for (const panel of panels) live.subscribe({ totals: panel.type }, (said) => take(panel, said));
setInterval(() => minuteOf(clock.now()) !== drawnMinute && redraw(), 1_000);
start();
