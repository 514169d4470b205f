import { download, fileNameOf, toCsv } from "../../lib/csv.js";
import { PeriodCounts } from "../../data/period_counts.js";
import { ask, Reader } from "../../data/reader.js";
import { LINES, TopList } from "./top_list.js";

// The API's most. More subjects than this are a job for `livetally export`, not for a page.
const MOST = 1_000;

/**
 * A card's data: a type's largest subjects in a period. `unique` is the type that counts which of
 * them were unique, if its subjects are pages or articles.
 */
export class List {
  type;
  unique;
  #page;
  #card;
  #counts = new PeriodCounts();
  #uniques = new PeriodCounts();
  #reader;
  #drawn = true;

  /** `page` is what all lists share: its key, its period (null: one that makes no sense), … */
  constructor(template, { type, unique = null, ...card }, page) {
    this.type = type;
    this.unique = unique;
    this.#page = page;
    this.#card = new TopList(template, { ...card, unique: unique !== null, csv: () => this.#save() });
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
    this.#uniques.forget();
    this.#card.say(this.#page.period() === null ? "Choose a time: its end after its start." : "Reading…");
    this.#restart();
  }

  stop() {
    this.#reader.stop();
  }

  /** A message about the live totals of its type, or of its unique one. */
  take(message, unique = false) {
    const grew = (unique ? this.#uniques : this.#counts).take(message);
    if (message.type === "snapshot") this.#restart();
    else this.#reader.heard(grew);
    if (grew) this.#ask();
  }

  /** Draws, if there is news. */
  draw() {
    if (this.#drawn) return;
    this.#drawn = true;
    const { total, before } = this.#counts;
    const rows = this.#counts
      .rows(LINES)
      .map((row) => ({ ...row, unique: this.#uniques.count(row.subject) }));
    this.#card.show({ rows, total, before }, this.#page.compares());
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
    for (const counts of [this.#counts, this.#uniques]) counts.asked();
    const [answer, uniques] = await this.#fetch(period, LINES * 2, signal);
    if (!isCurrent()) return;
    this.#counts.load(answer, period.ongoing, LINES * 2);
    if (uniques !== null) this.#uniques.load(uniques, period.ongoing, MOST);
    this.#ask();
  }

  // Which of them are unique is asked of as many as there are: the largest of one type need not be
  // the largest of the other.
  #fetch(period, top, signal) {
    const time = this.#page.time(period);
    const compare = this.#page.compares() ? "before" : undefined;
    const key = this.#page.key();
    return Promise.all([
      ask("/v1/stats", { type: this.type, top, compare, ...time }, key, signal),
      this.unique && ask("/v1/stats", { type: this.unique, top: MOST, ...time }, key, signal),
    ]);
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
      const [{ subjects }, uniques] = await this.#fetch(period, MOST);
      const unique = new Map(uniques?.subjects.map((row) => [row.subject, row.total]));
      const more = [this.unique && "unique", this.#page.compares() && "before"].filter(Boolean);
      const head = ["subject", "total", ...more];
      const absent = uniques?.subjects.length < MOST ? 0 : "";
      const rows = subjects.map((row) => {
        const given = { ...row, unique: unique.get(row.subject) ?? absent };
        return head.map((name) => given[name]);
      });
      download(fileNameOf(this.type, ...this.#page.names(period)), toCsv([head, ...rows]));
    } catch (error) {
      this.#failed(error);
    }
  }
}
