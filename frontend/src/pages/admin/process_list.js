import { Poller } from "../../data/poller.js";
import { counted, element, write } from "../../lib/element.js";

const EVERY_MS = 3_000;

/** Who serves just now, and how many watch. */
export class ProcessList {
  #root;
  #poller;

  constructor(root, api) {
    this.#root = root;
    this.#poller = new Poller({
      // Nobody sees what is read for a tab in the background.
      read: async (signal) => (document.hidden ? null : api.get("processes", {}, signal)),
      take: (answer) => answer && this.#show(answer),
      failed: ({ message }) => this.#say(message),
      times: { every: { least: EVERY_MS, most: EVERY_MS }, longestRetry: EVERY_MS },
    });
  }

  read() {
    this.#poller.again();
  }

  stop() {
    this.#poller.stop();
  }

  #say(text) {
    write(this.#root.querySelector("[data-said]"), text);
  }

  #show({ complete, reason, processes }) {
    this.#root.querySelector("tbody").replaceChildren(...processes.map(row));
    const viewers = processes.reduce((sum, process) => sum + process.viewers, 0);
    const known = `${counted(viewers, "viewer")} in ${counted(processes.length, "process", "processes")}.`;
    this.#say(complete ? known : `${known} ${reason}`);
  }
}

function row({ host, pid, viewers, subscriptions, events_per_s, uptime_s }) {
  const cells = [viewers, subscriptions, events_per_s, uptime(uptime_s)];
  const name = element("th", { scope: "row" }, `${host} ${pid}`);
  return element("tr", {}, name, ...cells.map((cell) => element("td", {}, String(cell))));
}

/** "45 s", "3 min", "2 h", "5 d" */
function uptime(seconds) {
  for (const [unit, size] of [["d", 86_400], ["h", 3_600], ["min", 60]]) {
    if (seconds >= size) return `${Math.floor(seconds / size)} ${unit}`;
  }
  return `${seconds} s`;
}
