import { Clock } from "../../data/clock.js";
import { Counting } from "./counting.js";
import { CrowdForm } from "./crowd/crowd_form.js";
import { Frame } from "../../lib/frame.js";
import { showProject, status } from "../shared/header.js";
import { Keys } from "../shared/keys.js";
import { notesFor, showNotes } from "../shared/notes.js";
import { Panel } from "./panel/panel.js";
import { Picture } from "./picture.js";
import { Poll } from "../../data/poll.js";
import { Live } from "../../sdk/live/live.js";
import { recall, remember } from "../../sdk/page/session.js";
import { Timing } from "./ways/timing.js";
import { offerTypes, readTypes } from "../shared/types.js";
import { onVisits } from "../shared/visits.js";
import { Ways } from "./ways/ways.js";

const find = (selector) => document.querySelector(selector);
const liveUrl = new URL("/v1/live", location.href.replace(/^http/, "ws")).href;
const chosen = { way: "optimistic", every: 5, clicks: "click", hovers: "hover", ...recall("home") };

const frame = new Frame(draw);
const changed = () => frame.ask();
const clock = new Clock();
const parts = { clock, changed, refused: (message) => keys.refused("read_key", message) };
const clicks = new Panel(find("#clicks"), chosen.clicks, parts);
const hovers = new Panel(find("#hovers"), chosen.hovers, parts);
const panels = [clicks, hovers];
const lists = [find("#clicks [data-type]"), find("#hovers [data-type]")];
const keys = new Keys(find("#keys"), { use: useKey, asks: showMissing });
const counting = new Counting({
  panels,
  promises: () => chosen.way === "optimistic",
  changed,
  refused: (message) => keys.refused("write_key", message),
});
const timing = new Timing(clicks, new Ways(find("#ways"), chosen, useWay));
const hover = (subject) => counting.count("hover", subject);
const picture = new Picture({ panels, clock, changed, hover, click });
const handlers = {
  ready: (message) => showProject(message.project),
  state: showState,
  fresh: () => panels.forEach((panel) => panel.readMinutes()),
  error: showError,
  refused: (reason) => keys.refused("read_key", reason),
};
const live = new Live({ url: liveUrl, handlers });
const poll = new Poll({ handlers });
const crowd = new CrowdForm(find("#crowd"), { url: liveUrl, key: () => keys.get("write_key") });

let source = null;
let ends = [];
let liveError = null;

// --- The server speaks, or the reader clicks: note it, and draw it with the next frame.

function click(subject, at) {
  timing.start(subject, at);
  counting.count("click", subject);
}

function showState(state) {
  status.show(state);
  if (state.name === "live" || state.name === "polling") liveError = null;
  changed();
}

function showError({ code, message }) {
  liveError = message ?? code;
  changed();
}

function draw(news, elapsed) {
  if (news) {
    picture.draw();
    showNotes(find("#notes"), notesFor(source?.state, counting.state, liveError));
    timing.measure(chosen.way);
  }
  return picture.step(elapsed);
}

// --- What the reader picks: a way of updating, types, keys.

function useWay({ way, every }) {
  Object.assign(chosen, { way, every });
  remember("home", chosen);
  timing.abandon();
  counting.withdraw();
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
    changed();
  });
}

function useType(panel, type) {
  const i = panels.indexOf(panel);
  panel.use(type);
  ends[i]();
  ends[i] = subscribe(panel);
  Object.assign(chosen, { clicks: clicks.type, hovers: hovers.type });
  remember("home", chosen);
  timing.abandon();
  picture.showTypes();
}

async function offer() {
  const key = keys.get("read_key");
  offerTypes([...lists, find("#types")], key === null ? [] : await readTypes(key));
}

function useKey(role, key) {
  if (role === "write_key") return key && counting.useKey(key);
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
  panels.forEach((panel, i) => {
    offerTypes([lists[i]], [panel.type]);
    lists[i].value = panel.type;
    lists[i].addEventListener("change", () => useType(panel, lists[i].value));
    lists[i].addEventListener("focus", offer);
  });
  find("form.custom").addEventListener("submit", (event) => {
    event.preventDefault();
    const { type, subject } = event.target.elements;
    counting.count(type.value, subject.value);
    subject.value = "";
  });
}

onVisits({
  leave() {
    counting.leave();
    crowd.stop();
    source.stop();
  },
  comeBack() {
    counting.comeBack();
    if (keys.get("read_key") !== null) source.start(keys.get("read_key"));
  },
  hurry() {
    source.hurry();
    counting.hurry();
  },
});
listen();
picture.showTypes();
useWay(chosen);
keys.start().then(showProject);
