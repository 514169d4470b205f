import { write } from "../../lib/element.js";

const WORDS = {
  connecting: "Connecting",
  live: "Live",
  polling: "Polling",
  stale: "Stale",
  reconnecting: "Reconnecting",
  restarting: "Restarting, retry",
  offline: "Offline, retry",
  refused: "Key needed",
};

/** The pill that says how far the counts on the page can be trusted. */
export class Status {
  #state;
  #countdown;
  #ticking = null;

  constructor(pill) {
    this.#state = pill.querySelector("[data-state]");
    this.#countdown = pill.querySelector("[data-countdown]");
  }

  show({ name, retryAt = null, restarting = false }) {
    document.documentElement.dataset.connection = name === "refused" ? "offline" : name;
    write(this.#state, WORDS[restarting ? "restarting" : name]);
    clearInterval(this.#ticking);
    this.#count(retryAt);
    if (retryAt !== null) this.#ticking = setInterval(() => this.#count(retryAt), 250);
  }

  // Outside the announced text: a screen reader is told the state, not every second.
  #count(retryAt) {
    const seconds = Math.max(0, Math.ceil((retryAt - Date.now()) / 1000));
    write(this.#countdown, retryAt === null ? "" : seconds > 0 ? `in ${seconds} s` : "now");
  }
}
