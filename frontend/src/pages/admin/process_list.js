import { counted, element, write } from "../../lib/element.js";

/** Who serves just now, and how many watch. */
export class ProcessList {
  #root;
  #api;

  constructor(root, api) {
    this.#root = root;
    this.#api = api;
  }

  async read() {
    const said = this.#root.querySelector("[data-said]");
    try {
      const { complete, reason, processes } = await this.#api.get("processes");
      this.#root.querySelector("tbody").replaceChildren(...processes.map(row));
      const viewers = processes.reduce((sum, process) => sum + process.viewers, 0);
      const known = `${counted(viewers, "viewer")} in ${processes.length} process${processes.length === 1 ? "" : "es"}.`;
      write(said, complete ? known : `${known} ${reason}`);
    } catch (error) {
      write(said, error.message);
    }
  }
}

function row({ host, pid, viewers, subscriptions, events_per_s, uptime_s }) {
  const cells = [viewers, subscriptions, events_per_s, uptime(uptime_s)];
  const name = element("th", { scope: "row" }, `${host} ${pid}`);
  return element("tr", {}, name, ...cells.map((cell) => element("td", {}, String(cell))));
}

/** "45 s", "3 min", "2 h", "5 d" */
export function uptime(seconds) {
  for (const [unit, size] of [["d", 86_400], ["h", 3_600], ["min", 60]]) {
    if (seconds >= size) return `${Math.floor(seconds / size)} ${unit}`;
  }
  return `${seconds} s`;
}
