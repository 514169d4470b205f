import { Api } from "../../data/api.js";
import { write } from "../../lib/element.js";
import { Frame } from "../../lib/frame.js";
import { status } from "../shared/header.js";
import { Keys } from "../shared/keys.js";
import { openLive } from "../shared/live.js";
import { onVisits } from "../shared/visits.js";
import { AllCounts } from "./all_counts.js";
import { DeadList } from "./dead_list.js";
import { KeyList } from "./key_list.js";
import { PagePointers } from "./pointers/page_pointers.js";
import { ProcessList } from "./process_list.js";

const RATES_EVERY_MS = 1_000;

const find = (selector) => document.querySelector(selector);

const frame = new Frame((updated) => {
  if (!updated) return;
  counts.draw();
  pointers.offer(counts.ofType("pointer"));
});
const keys = new Keys(find("#keys"), { use: useKey, asks: showMissing });
const key = () => keys.get("admin_key");
const rejected = (message) => keys.rejected("admin_key", message);
const api = new Api({ root: "/admin/v1", key, rejected });
const live = openLive({ keys, role: "admin_key", ready: ({ project }) => pointers.use(project) });
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

function useKey(_, key) {
  if (key === null) {
    live.stop();
    processes.stop();
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

// Without updates a rate falls to nothing all the same.
setInterval(() => key() !== null && !document.hidden && frame.ask(), RATES_EVERY_MS);
live.subscribe({ admin: true }, (message) => counts.receive(message));
onVisits({
  leave: () => live.stop(),
  comeBack: () => key() !== null && useKey("admin_key", key()),
  hurry: () => live.hurry(),
});
keys.start();
