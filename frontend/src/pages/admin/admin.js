import { AdminApi } from "./admin_api.js";
import { AllCounts } from "./all_counts.js";
import { DeadList } from "./dead_list.js";
import { write } from "../../lib/element.js";
import { Frame } from "../../lib/frame.js";
import { showProject, status } from "../shared/header.js";
import { KeyList } from "./key_list.js";
import { Keys } from "../shared/keys.js";
import { showNotes } from "../shared/notes.js";
import { PagePointers } from "./pointers/page_pointers.js";
import { ProcessList } from "./process_list.js";
import { Live } from "../../sdk/live/live.js";
import { onVisits } from "../shared/visits.js";

const PROCESSES_EVERY_MS = 3_000;
const RATES_EVERY_MS = 1_000;

const find = (selector) => document.querySelector(selector);
const url = new URL("/v1/live", location.href.replace(/^http/, "ws")).href;

const frame = new Frame((news) => {
  if (!news) return;
  counts.draw();
  pointers.offer(counts.ofType("pointer"));
});
const keys = new Keys(find("#keys"), { use: useKey, asks: showMissing });
const live = new Live({
  url,
  handlers: {
    ready: ({ project }) => {
      showProject(project);
      pointers.use(project);
    },
    state: showState,
    error: ({ message }) => showNotes(find("#notes"), [`The live connection reports: ${message}`]),
    refused: (reason) => keys.refused("admin_key", reason),
  },
});
const api = new AdminApi(
  () => keys.get("admin_key"),
  (message) => keys.refused("admin_key", message),
);
const counts = new AllCounts(find("#counts"), () => frame.ask());
const keyList = new KeyList(find("#access"), api, sure);
const processes = new ProcessList(find("#processes"), api);
const dead = new DeadList(find("#dead"), api, sure);
const pointers = new PagePointers(find("#pointers"), api, live);

/** Asks in a dialog; true when its reader says yes. */
function sure(what, verb) {
  const dialog = find("#sure");
  write(dialog.querySelector("[data-what]"), what);
  write(dialog.querySelector("[data-yes]"), verb);
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((answer) => {
    dialog.addEventListener("close", () => answer(dialog.returnValue === "yes"), { once: true });
  });
}

function showState(state) {
  status.show(state);
  const stale = "The server can't reach its database. The counts are the last it knew.";
  showNotes(find("#notes"), state.name === "stale" ? [stale] : []);
}

function useKey(_, key) {
  if (key === null) {
    live.stop();
    keyList.forget();
    pointers.forget();
    return;
  }
  live.start(key);
  keyList.read();
  processes.read();
  dead.read();
}

function showMissing(roles) {
  if (roles.length > 0) status.show({ name: "refused" });
  find("#rooms").hidden = roles.length > 0;
}

const working = () => keys.get("admin_key") !== null && !document.hidden;
setInterval(() => working() && processes.read(), PROCESSES_EVERY_MS);
// Without news a rate falls to nothing all the same.
setInterval(() => working() && frame.ask(), RATES_EVERY_MS);
live.subscribe({ admin: true }, (message) => counts.take(message));
onVisits({
  leave: () => live.stop(),
  comeBack: () => keys.get("admin_key") !== null && useKey("admin_key", keys.get("admin_key")),
  hurry: () => live.hurry(),
});
keys.start();
