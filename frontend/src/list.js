import { download, fileNameOf, toCsv } from "./csv.js";
import { PeriodCounts } from "./period_counts.js";
import { ask, Reader } from "./reader.js";
import { LINES, TopList } from "./top_list.js";

// The API's most. More subjects than this are a job for `livetally export`, not for a page.
const MOST = 1_000;

/**
 * A card's data: a type's largest subjects in a period. `uniques`, if its subjects are pages or
 * articles, names the list of /v1/pages that tells how many views were unique.
 */
export class List {
  type;
  #uniques;
  #page;
  #card;
  #counts = new PeriodCounts();
  #reader;
  #drawn = true;

  /** `page` is what all lists share: its key, its period (null: one that makes no sense), … */
  constructor(template, { type, uniques = null, ...card }, page) {
    this.type = type;
    this.#uniques = uniques;
    this.#page = page;
    this.#card = new TopList(template, { ...card, unique: uniques !== null, csv: () => this.#save() });
    this.#reader = new Reader({
      read: (signal, isCurrent) => this.#read(signal, isCurrent),
      failed: (error) => this.#failed(error),
    });
  }

  get node() {
    return this.#card.node;
  }

  use(type, title) {
    this.type = type;
    this.#counts = new PeriodCounts();
    this.#card.name(title);
    this.again();
  }

  /** Another time, or key: nothing that was read before is shown any more. */
  again() {
    this.#counts.forget();
    this.#card.say(this.#page.period() === null ? "Choose a time: its end after its start." : "Reading…");
    this.#restart();
  }

  stop() {
    this.#reader.stop();
  }

  take(message) {
    const grew = this.#counts.take(message);
    if (message.type === "snapshot") this.#restart();
    else if (grew || this.#reader.reading) this.#reader.grew();
    if (grew) this.#ask();
  }

  /** Draws, if there is news. */
  draw() {
    if (this.#drawn) return;
    this.#drawn = true;
    this.#card.show(this.#counts, this.#page.compares());
  }

  #restart() {
    if (this.#page.key() === null || this.#page.period() === null) this.#reader.stop();
    else this.#reader.again();
  }

  #ask() {
    this.#drawn = false;
    this.#page.changed();
  }

  async #read(signal, isCurrent) {
    const period = this.#page.period();
    const answer = await this.#fetch(period, LINES * 2, signal);
    if (!isCurrent()) return;
    this.#counts.load(answer, period.ongoing);
    this.#ask();
  }

  async #fetch(period, top, signal) {
    const time = this.#page.time(period);
    const compare = this.#page.compares() ? "before" : undefined;
    const key = this.#page.key();
    const [answer, views] = await Promise.all([
      ask("/v1/stats", { type: this.type, top, compare, ...time }, key, signal),
      this.#uniques ? ask("/v1/pages", { top, ...time }, key, signal) : null,
    ]);
    if (views === null) return answer;
    const name = this.#uniques.slice(0, -1);
    const uniques = new Map(views[this.#uniques].map((row) => [row[name], row.unique]));
    const subjects = answer.subjects.map((row) => ({ ...row, unique: uniques.get(row.subject) }));
    return { ...answer, subjects };
  }

  #failed(error) {
    if (error.refusesKey) return this.#page.refused(error.message);
    const text = error.final ? error.message : `${error.message} Trying again.`;
    if (this.#counts.total === null) this.#card.say(text);
    else this.#card.warn(text);
  }

  async #save() {
    const period = this.#page.period();
    if (this.#page.key() === null || period === null) return;
    try {
      const { subjects } = await this.#fetch(period, MOST);
      const more = ["unique", "before"].filter((name) => subjects.some((row) => name in row));
      const head = ["subject", "total", ...more];
      const rows = subjects.map((row) => head.map((name) => row[name] ?? ""));
      download(fileNameOf(this.type, ...this.#page.names(period)), toCsv([head, ...rows]));
    } catch (error) {
      this.#failed(error);
    }
  }
}
