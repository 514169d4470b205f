import { Api } from "../../data/api.js";
import { Clock } from "../../data/clock.js";
import { PollSource } from "../../data/poll_source.js";
import { Frame } from "../../lib/frame.js";
import { Live } from "../../sdk/live/live.js";
import { recall, remember } from "../../sdk/page/session.js";
import { showProject, status } from "../shared/header.js";
import { Keys } from "../shared/keys.js";
import { LIVE_URL } from "../shared/live.js";
import { notesFor, showNotes } from "../shared/notes.js";
import { offerTypes, readTypes } from "../shared/types.js";
import { onVisits } from "../shared/visits.js";
import { Counting } from "./counting.js";
import { CrowdForm } from "./crowd/crowd_form.js";
import { Panel } from "./panel/panel.js";
import { Picture } from "./picture.js";
import { Timing } from "./ways/timing.js";
import { Ways } from "./ways/ways.js";

const MEMORY = "playground";
const find = (selector) => document.querySelector(selector);
const chosen = { way: "optimistic", every: 5, clicks: "click", hovers: "hover", ...recall(MEMORY) };

const frame = new Frame(draw);
const changed = () => frame.ask();
const clock = new Clock();
const keys = new Keys(find("#keys"), { use: useKey, asks: showMissing });
const readKey = () => keys.get("read_key");
const rejectRead = (message) => keys.rejected("read_key", message);
const api = new Api({ key: readKey, rejected: rejectRead, clock });
const clicks = new Panel(find("#clicks"), chosen.clicks, { api, clock, changed });
const hovers = new Panel(find("#hovers"), chosen.hovers, { api, clock, changed });
const panels = [clicks, hovers];
const lists = [find("#clicks [data-type]"), find("#hovers [data-type]")];
const counting = new Counting({
  panels,
  promises: () => chosen.way === "optimistic",
  changed,
  rejected: (message) => keys.rejected("write_key", message),
});
const timing = new Timing(clicks, new Ways(find("#ways"), chosen, useWay));
const hover = (subject) => counting.count("hover", subject);
const picture = new Picture({ panels, clock, changed, hover, click });
const handlers = {
  ready: (message) => showProject(message.project),
  state: showState,
  fresh: () => panels.forEach((panel) => panel.readMinutes()),
  error: showError,
  refused: rejectRead,
};
const live = new Live({ url: LIVE_URL, handlers });
const poll = new PollSource({ api, handlers });
const crowd = new CrowdForm(find("#crowd"), { url: LIVE_URL, key: () => keys.get("write_key") });

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

function draw(updated, elapsed) {
  if (updated) {
    picture.draw();
    showNotes(find("#notes"), notesFor(source?.state, { sending: counting.state, error: liveError }));
    timing.measure(chosen.way);
  }
  return picture.step(elapsed);
}

// --- What the reader picks: a way of updating, types, keys.

function useWay({ way, every }) {
  Object.assign(chosen, { way, every });
  remember(MEMORY, chosen);
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
  if (readKey() !== null) source.start(readKey());
}

function subscribe(panel) {
  const { type } = panel;
  return source.subscribe({ totals: type }, (message) => {
    if (panel.type !== type) return;
    panel.receive(message);
    changed();
  });
}

function useType(panel, type) {
  const i = panels.indexOf(panel);
  panel.use(type);
  ends[i]();
  ends[i] = subscribe(panel);
  Object.assign(chosen, { clicks: clicks.type, hovers: hovers.type });
  remember(MEMORY, chosen);
  timing.abandon();
  picture.showTypes();
}

async function offer() {
  offerTypes([...lists, find("#types")], readKey() === null ? [] : await readTypes(api));
}

function useKey(role, key) {
  if (role === "write_key") return key && counting.useKey(key);
  liveError = null;
  for (const panel of panels) panel.stop();
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
    counting.hurry();
    if (readKey() !== null) source.start(readKey());
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
