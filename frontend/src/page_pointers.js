import { counted, element, write } from "./element.js";
import { Frame } from "./frame.js";
import { PageMap } from "./page_map.js";
import { Playback } from "./playback.js";

const HOUR_MS = 3_600_000;
const GRID = { columns: 40, rows: 60 };
const time = new Intl.DateTimeFormat(undefined, { dateStyle: "short", timeStyle: "medium" });

/** One page's heatmap, who points at it now, and what a session did there. */
export class PagePointers {
  #root;
  #api;
  #live;
  #map;
  #frame = new Frame((_, elapsed) => this.#draw(elapsed));
  #end = () => {};
  #playback = new Playback([]);
  #chosen = null;
  #asked = 0;

  constructor(root, api, live) {
    this.#root = root;
    this.#api = api;
    this.#live = live;
    this.#map = new PageMap(this.#find("canvas"));
    this.#find("[data-page]").addEventListener("submit", (event) => {
      event.preventDefault();
      this.read();
    });
    this.#find("[data-play]").addEventListener("click", () => this.#toggle());
    this.#find("[data-seek]").addEventListener("input", ({ target }) => {
      this.#playback.seek(Number(target.value));
      this.#frame.ask();
    });
  }

  #find(selector) {
    return this.#root.querySelector(selector);
  }

  #form() {
    const { page, hours } = this.#find("[data-page]").elements;
    const to = Date.now();
    const from = to - Number(hours.value) * HOUR_MS;
    return { page: page.value, from: new Date(from).toISOString(), to: new Date(to).toISOString() };
  }

  stop() {
    this.#end();
    this.#map.forget();
  }

  async read() {
    const asked = (this.#asked += 1);
    const form = this.#form();
    this.#watch(form.page);
    const said = this.#find("[data-said]");
    write(said, "Reading…");
    try {
      const [heat, { sessions }] = await Promise.all([
        this.#api.get("heatmap", { ...form, ...GRID }),
        this.#api.get("sessions", { ...form, limit: 100 }),
      ]);
      if (asked !== this.#asked) return; // another page is wanted by now
      this.#map.show(heat);
      this.#play([]);
      this.#find("[data-sessions]").replaceChildren(...sessions.map((each) => this.#session(each, form)));
      const since = heat.since ? `, only those since ${time.format(new Date(heat.since))}` : "";
      write(said, `${counted(heat.total, "position")} by ${counted(sessions.length, "session")}${since}.`);
    } catch (error) {
      if (asked === this.#asked) write(said, error.message);
    }
    this.#frame.ask();
  }

  #watch(page) {
    this.#end();
    this.#map.forget();
    this.#end = this.#live.subscribe({ pointers: page }, (message) => {
      this.#map.take(message);
      this.#frame.ask();
    });
  }

  #session({ session, last, moves }, form) {
    const words = `${time.format(new Date(last))}, ${counted(moves, "move")}`;
    const button = element("button", { type: "button", "aria-pressed": "false" }, words, " ", element("bdi", { class: "hint" }, session));
    button.addEventListener("click", () => this.#choose(button, session, form));
    return element("li", {}, button);
  }

  async #choose(button, session, form) {
    this.#chosen?.setAttribute("aria-pressed", "false");
    this.#chosen = button;
    button.setAttribute("aria-pressed", "true");
    try {
      const { moves, more } = await this.#api.get("replay", { ...form, session });
      if (this.#chosen !== button) return;
      this.#play(moves);
      if (more) write(this.#find("[data-said]"), "The session goes on after what is replayed.");
      this.#toggle();
    } catch (error) {
      write(this.#find("[data-said]"), error.message);
    }
  }

  #play(moves) {
    this.#playback = new Playback(moves);
    this.#find("[data-player]").disabled = moves.length === 0;
    this.#find("[data-seek]").max = String(Math.ceil(this.#playback.length));
    this.#frame.ask();
  }

  #toggle() {
    if (this.#playback.playing) this.#playback.playing = false;
    else this.#playback.play();
    this.#frame.ask();
  }

  #draw(elapsed) {
    const playback = this.#playback;
    playback.step(elapsed, Number(this.#find("[data-speed]").value));
    this.#map.draw(playback.at > 0 || playback.playing ? playback.trail : []);
    write(this.#find("[data-play]"), playback.playing ? "Pause" : "Play");
    const seek = this.#find("[data-seek]");
    if (Number(seek.value) !== Math.round(playback.at)) seek.value = String(Math.round(playback.at));
    write(this.#find("[data-now]"), `${counted(this.#map.count, "pointer")} now`);
    return playback.playing;
  }
}
