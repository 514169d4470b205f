import { NAMES } from "../../../lib/colors.js";
import { counted, write } from "../../../lib/element.js";
import { Crowd } from "./crowd.js";

const HOVERS_A_CLICK = 4;
const number = new Intl.NumberFormat("en");

/** Some colours are liked better than others: that makes a livelier picture than chance alone. */
function anEvent() {
  const subject = NAMES[Math.floor(NAMES.length * Math.random() ** 2.2 * 0.999)];
  return { type: Math.random() * (HOVERS_A_CLICK + 1) < 1 ? "click" : "hover", subject };
}

/** What a crowd is doing, said honestly: how many of its users share sockets, what was not counted. */
export function sayCrowd({ phase, users, sockets, open, message }) {
  const shared = sockets < users ? `, shared by ${counted(users, "user")}` : "";
  switch (phase) {
    case "idle":
      return "";
    case "opening":
      return `Opening ${counted(sockets, "websocket")}${shared}.`;
    case "running":
      return `${counted(sockets, "websocket")}${shared}, ${open === sockets ? "all" : open} open.`;
    case "finishing":
      return "Waiting for the last answers.";
    case "done":
      return message ? `Ended: ${message}` : "Done, and all websockets are closed.";
  }
}

export function sayFigures({ phase, sent, counted, rejected, lost, waiting }) {
  if (phase === "idle" || phase === "opening") return "";
  const parts = [`${number.format(sent)} sent`, `${number.format(counted)} counted`];
  if (waiting > 0) parts.push(`${number.format(waiting)} under way`);
  if (rejected > 0) parts.push(`${number.format(rejected)} refused`);
  if (lost > 0) parts.push(`${number.format(lost)} without an answer`);
  return parts.join(" · ");
}

/** Asks for a crowd, and shows what it does. */
export class CrowdForm {
  #url;
  #key;
  #crowd = null;
  #form;
  #parts;
  #allowed = false;

  constructor(root, { url, key }) {
    this.#url = url;
    this.#key = key;
    this.#form = root.querySelector("form");
    const find = (selector) => root.querySelector(selector);
    this.#parts = {
      start: find("[data-start]"),
      stop: find("[data-stop]"),
      progress: find("progress"),
      said: find("[data-said]"),
      figures: find("[data-figures]"),
    };
    this.#form.addEventListener("submit", (event) => this.#start(event));
    this.#parts.stop.addEventListener("click", () => this.#crowd.stop());
  }

  /** Without a key to write there is nobody to send as. */
  allow(allowed) {
    this.#allowed = allowed;
    this.#show();
  }

  stop() {
    this.#crowd?.stop({ atOnce: true });
  }

  #start(event) {
    event.preventDefault();
    const { users, rate, seconds } = this.#form.elements;
    const changed = () => this.#show();
    this.#crowd = new Crowd({ url: this.#url, key: this.#key(), event: anEvent, changed });
    this.#crowd.start({
      users: users.valueAsNumber,
      rate: rate.valueAsNumber,
      seconds: Number(seconds.value),
    });
    this.#parts.stop.focus();
  }

  #show() {
    const state = this.#crowd?.state ?? { phase: "idle" };
    const busy = state.phase !== "idle" && state.phase !== "done";
    const { start, stop, progress, said, figures } = this.#parts;
    if (!busy && document.activeElement === stop) start.focus();
    start.disabled = busy || !this.#allowed;
    stop.disabled = !busy || state.phase === "finishing";
    progress.hidden = !busy;
    progress.value = state.phase === "opening" ? state.open / state.sockets : (state.done ?? 0);
    write(said, sayCrowd(state));
    write(figures, sayFigures(state));
  }
}
