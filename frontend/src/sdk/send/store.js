import { newId } from "../base/id.js";

// Without Web Locks nobody can tell whose page is gone: what is this old belongs to nobody.
const ORPHANED_AFTER_MS = 60_000;
// What a transaction's work returns when it will ask for more as answers come.
const MORE = Symbol();

/**
 * What is unconfirmed, on disk, for the pages that come after this one: all tabs of an origin share
 * one IndexedDB. Each page holds a Web Lock, which the browser lets go when the page ends, however
 * it ends; events whose page has none are adopted by the next page that looks, by one only. Where
 * the browser allows no storage nothing is kept, and that is all.
 */
export class Store {
  #to;
  #owner = newId();
  #database = null;
  #unwritten = [];
  #release = null;

  /** `to` names where the events go (server and key): others' are left alone. */
  constructor(to) {
    this.#to = to;
    this.hold();
  }

  /** This page is here (again). */
  hold() {
    if (this.#release || !globalThis.navigator?.locks) return;
    const gone = new Promise((release) => (this.#release = release));
    navigator.locks.request(lockOf(this.#owner), () => gone).catch(() => {});
  }

  /** This page goes away: a page that may be kept in memory must not hold a lock. */
  release() {
    this.#write();
    this.#release?.();
    this.#release = null;
  }

  keep(event) {
    if (this.#unwritten.push(event) === 1) queueMicrotask(() => this.#write());
  }

  forget(events) {
    this.#write();
    if (events.length === 0) return;
    this.#transact((rows) => events.forEach(({ id }) => rows.delete([this.#to, id])));
  }

  /** At most `limit` events of pages that are gone, now this page's; and those that are too old. */
  async adopt(limit, isTooOld) {
    const alive = await this.#alive();
    const adopted = [];
    const tooOld = [];
    await this.#transact((rows) => {
      rows.openCursor().onsuccess = ({ target: { result: cursor } }) => {
        if (!cursor || adopted.length >= limit) return;
        const row = cursor.value;
        const ours = row.to === this.#to;
        if (isTooOld(row.event)) {
          if (ours) tooOld.push(row.event);
          cursor.delete();
        } else if (ours && row.owner !== this.#owner && !alive(row)) {
          adopted.push(row.event);
          cursor.update({ ...row, owner: this.#owner, at: Date.now() });
        }
        cursor.continue();
      };
      return MORE;
    });
    return { adopted, tooOld };
  }

  async #alive() {
    const locks = await globalThis.navigator?.locks?.query().catch(() => null);
    if (!locks) return ({ at }) => Date.now() - at < ORPHANED_AFTER_MS;
    const names = new Set([...locks.held, ...locks.pending].map(({ name }) => name));
    return ({ owner }) => names.has(lockOf(owner));
  }

  #write() {
    const events = this.#unwritten;
    this.#unwritten = [];
    if (events.length === 0) return;
    const row = { to: this.#to, owner: this.#owner, at: Date.now() };
    this.#transact((rows) => events.forEach((event) => rows.put({ ...row, id: event.id, event })));
  }

  // Transactions of one page run in the order in which they were asked for.
  async #transact(work) {
    try {
      const database = await (this.#database ??= open());
      const transaction = database.transaction("events", "readwrite");
      await new Promise((done, failed) => {
        transaction.oncomplete = done;
        transaction.onabort = transaction.onerror = failed;
        // Now, not when all answers were heard: a page that is being left may not live to.
        if (work(transaction.objectStore("events")) !== MORE) transaction.commit?.();
      });
    } catch {
      this.#database = null; // full, forbidden, or closed by the browser: asked again next time
    }
  }
}

const lockOf = (owner) => `livetally ${owner}`;

function open() {
  return new Promise((opened, failed) => {
    const request = indexedDB.open("livetally", 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore("events", { keyPath: ["to", "id"] });
    };
    request.onerror = request.onblocked = failed;
    request.onsuccess = () => {
      request.result.onversionchange = () => request.result.close();
      opened(request.result);
    };
  });
}
