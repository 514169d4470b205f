import { counted, element, write } from "../../../lib/element.js";
import { Frame } from "../../../lib/frame.js";
import { HOUR_MS } from "../../../lib/time.js";
import { PageMap } from "./page_map.js";
import { Player } from "./player.js";

const GRID = { columns: 80, rows: 120 };
const MOST_OFFERED = 100;
const number = new Intl.NumberFormat("en");
const time = new Intl.DateTimeFormat(undefined, {
  day: "numeric",
  month: "short",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
});

/** One page's heatmap, who points at it now, and what a session did there. */
export class PagePointers {
  #root;
  #api;
  #live;
  #map;
  #form;
  #player;
  #frame = new Frame(() => this.#draw(), { apart: 0 });
  #end = () => {};
  #chosen = null;
  #latest = 0;
  #touched = false;

  constructor(root, api, live) {
    this.#root = root;
    this.#api = api;
    this.#live = live;
    this.#map = new PageMap(this.#find("canvas"));
    this.#form = this.#find("[data-page]");
    this.#form.addEventListener("input", () => (this.#touched = true));
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#touched = true;
      this.read();
    });
    this.#player = new Player(this.#find("[data-player]"), () => this.#frame.ask());
  }

  #find(selector) {
    return this.#root.querySelector(selector);
  }

  /** The key's own project is the first that is shown. A connection that came back changes nothing. */
  use(project) {
    if (this.#form.elements.project.value !== "") return;
    this.#addProjects([project]);
    this.read();
  }

  /** Nobody may see it any more. */
  forget() {
    this.#end();
    this.#map.forget();
    this.#map.show(null);
    this.#player.load([]);
    this.#find("[data-sessions]").replaceChildren();
    this.#form.elements.project.replaceChildren();
    this.#touched = false;
  }

  /** `pages` are [{project, subject}, …], the most pointed at first: shown, until one is chosen. */
  offer(pages) {
    const { project, page } = this.#form.elements;
    if (!this.#touched && pages.length > 0) {
      this.#touched = true;
      this.#addProjects([pages[0].project]);
      project.value = pages[0].project;
      page.value = pages[0].subject;
      this.read();
    }
    const theirs = pages.filter((each) => each.project === project.value).slice(0, MOST_OFFERED);
    const list = this.#find("datalist");
    const offered = [...list.options].map(({ value }) => value);
    if (offered.join("\n") === theirs.map(({ subject }) => subject).join("\n")) return;
    list.replaceChildren(...theirs.map(({ subject }) => element("option", { value: subject })));
  }

  #addProjects(names) {
    const { project } = this.#form.elements;
    const known = new Set([...project.options].map(({ value }) => value));
    project.append(...names.filter((name) => !known.has(name)).map((name) => element("option", {}, name)));
  }

  /** The query that the form stands for now. */
  #query() {
    const { project, page, hours } = this.#form.elements;
    const to = Date.now();
    const from = to - Number(hours.value) * HOUR_MS;
    const iso = (at) => new Date(at).toISOString();
    return { project: project.value, page: page.value, from: iso(from), to: iso(to) };
  }

  async read() {
    const reading = (this.#latest += 1);
    const query = this.#query();
    this.#watch(query);
    this.#say("Reading…");
    try {
      const [heat, found, { projects }] = await Promise.all([
        this.#api.get("heatmap", { ...query, ...GRID }),
        this.#api.get("sessions", { ...query, limit: 100 }),
        this.#api.get("projects", { limit: 1_000 }),
      ]);
      if (reading !== this.#latest) return; // another page is wanted by now
      this.#addProjects(projects.map(({ name }) => name));
      this.#show(query, heat, found.sessions);
    } catch (error) {
      if (reading === this.#latest) this.#say(error.message);
    }
    this.#frame.ask();
  }

  #say(text) {
    write(this.#find("[data-said]"), text);
  }

  #show(query, heat, sessions) {
    this.#map.show(heat);
    this.#player.load([]);
    this.#find("[data-sessions]").replaceChildren(...sessions.map((each) => this.#session(each, query)));
    this.#find("[data-none]").hidden = sessions.length > 0;
    const since = heat.since ? `, only those since ${time.format(new Date(heat.since))}` : "";
    const positions = `${number.format(heat.total)} ${heat.total === 1 ? "position" : "positions"}`;
    if (heat.total > 0) this.#say(`${positions} by ${counted(sessions.length, "session")}${since}.`);
    else this.#say("Nobody pointed at this page in this time.");
  }

  #watch({ project, page }) {
    this.#end();
    this.#map.forget();
    this.#end = this.#live.subscribe({ pointers: page, project }, (message) => {
      if (message.type === "error") return; // the readings say what is wrong
      this.#map.receive(message);
      this.#frame.ask();
    });
  }

  #session({ session, last, moves }, query) {
    const button = element(
      "button",
      { type: "button", "aria-pressed": "false", title: session },
      element("span", {}, time.format(new Date(last))),
      " ",
      element("span", { class: "hint" }, counted(moves, "move")),
      " ",
      element("bdi", { class: "hint" }, session),
    );
    button.addEventListener("click", () => this.#choose(button, session, query));
    return element("li", {}, button);
  }

  async #choose(button, session, query) {
    this.#chosen?.setAttribute("aria-pressed", "false");
    this.#chosen = button;
    button.setAttribute("aria-pressed", "true");
    try {
      const { moves, more } = await this.#api.get("replay", { ...query, session });
      if (this.#chosen !== button) return;
      this.#player.load(moves);
      if (more) this.#say("The session goes on after what is replayed.");
      this.#player.toggle();
    } catch (error) {
      this.#say(error.message);
    }
  }

  #draw() {
    const playing = this.#player.step();
    this.#map.draw(this.#player.trail);
    write(this.#find("[data-now]"), `${counted(this.#map.count, "pointer")} now`);
    return playing;
  }
}
