import { PeriodCounts } from "../../data/period_counts.js";
import { Poller } from "../../data/poller.js";
import { download, fileNameOf, toCsv } from "../../lib/csv.js";
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
  #poller;

  /** `page` is what all cards share: its API, its period (null: one that makes no sense), … */
  constructor(template, { type, unique = null, ...card }, page) {
    this.type = type;
    this.unique = unique;
    this.#page = page;
    this.#card = new TopList(template, { ...card, unique: unique !== null, csv: () => this.#save() });
    this.#poller = new Poller({
      read: (signal) => this.#read(signal),
      take: (answers) => this.#take(answers),
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
    this.#page.read(this.#poller);
  }

  stop() {
    this.#poller.stop();
  }

  /** A message about the live totals of its type, or of its unique one. */
  receive(message, unique = false) {
    const grew = (unique ? this.#uniques : this.#counts).receive(message);
    if (message.type === "snapshot") this.#page.read(this.#poller);
    else this.#poller.heard(grew);
    if (grew) this.#page.changed(this);
  }

  draw() {
    const { total, before } = this.#counts;
    const rows = this.#counts
      .rows(LINES)
      .map((row) => ({ ...row, unique: this.#uniques.count(row.subject) }));
    this.#card.show({ rows, total, before }, this.#page.compares());
  }

  async #read(signal) {
    const period = this.#page.period();
    for (const counts of [this.#counts, this.#uniques]) counts.beginReading();
    const [answer, uniques] = await this.#ask(period, LINES * 2, signal);
    return { period, answer, uniques };
  }

  #take({ period, answer, uniques }) {
    this.#counts.load(answer, period.ongoing, LINES * 2);
    if (uniques !== null) this.#uniques.load(uniques, period.ongoing, MOST);
    this.#page.changed(this);
  }

  // Which of them are unique is asked of as many as there are: the largest of one type need not be
  // the largest of the other.
  #ask(period, top, signal) {
    const time = this.#page.time(period);
    const compare = this.#page.compares() ? "before" : undefined;
    const { api } = this.#page;
    return Promise.all([
      api.stats({ type: this.type, top, compare, ...time }, signal),
      this.unique && api.stats({ type: this.unique, top: MOST, ...time }, signal),
    ]);
  }

  #failed(error) {
    if (error.final) this.#poller.stop();
    this.#warn(error.final ? error.message : `${error.message} Trying again.`);
  }

  #warn(text) {
    if (this.#counts.total === null) this.#card.say(text);
    else this.#card.warn(text);
  }

  async #save() {
    const period = this.#page.period();
    if (!this.#page.readable()) return;
    try {
      const table = this.#tableOf(...(await this.#ask(period, MOST)));
      download(fileNameOf(this.type, ...this.#page.names(period)), toCsv(table));
    } catch (error) {
      this.#warn(error.message);
    }
  }

  #tableOf({ subjects }, uniques) {
    const unique = new Map(uniques?.subjects.map((row) => [row.subject, row.total]));
    const more = [this.unique && "unique", this.#page.compares() && "before"].filter(Boolean);
    const head = ["subject", "total", ...more];
    const absent = uniques?.subjects.length < MOST ? 0 : "";
    const rows = subjects.map((row) => {
      const cells = { ...row, unique: unique.get(row.subject) ?? absent };
      return head.map((name) => cells[name]);
    });
    return [head, ...rows];
  }
}
