import { newId } from "../base/id.js";
import { hold } from "../base/lock.js";
import { isTooOld } from "./outbox.js";

// Without Web Locks nobody can tell whose page is gone: what is this old belongs to nobody.
const ORPHANED_AFTER_MS = 60_000;
const OPEN_WITHIN_MS = 5_000;
const TABLES = ["events", "keys"];

const lockOf = (owner) => `livetally ${owner}`;

/**
 * What is unconfirmed, on disk, for the pages that come after this one: all tabs of an origin share
 * one IndexedDB. Each page holds a Web Lock; events whose page has none are adopted by the next page
 * that looks, by one only. Where the browser allows no storage nothing is kept, and that is all.
 *
 * Events wait for a key, and belong to its project: a page with another key of the same project
 * adopts them too. Which project a key is of, the server tells with each confirmation. What waits
 * for a key that was rejected before it ever worked goes to the one project that there is, if this
 * browser knows no other.
 */
export function openStore(server, key) {
  const to = `${server} ${key}`;
  const owner = newId();
  let project = null;
  let database = null;
  let unwritten = [];
  hold(lockOf(owner), () => {});

  // Transactions of one page run in the order in which they were asked for. One that `asks` is not
  // over when its work is: the others end now, since a page that is being left may not live longer.
  async function transact(work, asks) {
    try {
      const transaction = (await (database ??= open())).transaction(TABLES, "readwrite");
      await new Promise((done, failed) => {
        transaction.oncomplete = done;
        transaction.onabort = transaction.onerror = failed;
        work(...TABLES.map((name) => transaction.objectStore(name)));
        if (!asks) transaction.commit?.();
      });
    } catch {
      database = null; // full, forbidden, or closed by the browser: asked again next time
    }
  }

  function write() {
    const events = unwritten;
    unwritten = [];
    if (events.length === 0) return;
    const row = { to, owner, at: Date.now() };
    transact((rows) => events.forEach((event) => rows.put({ ...row, id: event.id, event })));
  }

  /** Whose events are this page's to send: only of this server, and never of another project. */
  function queues(known) {
    const here = known.filter((row) => row.to.startsWith(`${server} `));
    const mine = project ?? here.find((row) => row.to === to)?.project;
    const alone = project && here.every((row) => [mine, null].includes(row.project));
    const ours = here.filter((row) => (row.project ? row.project === mine : alone));
    return [to, ...ours.map((row) => row.to)];
  }

  return {
    keep(event) {
      if (unwritten.push(event) === 1) queueMicrotask(write);
    },

    /** Puts on disk what is to be kept, now. */
    write,

    forget(events) {
      write();
      if (events.length === 0) return;
      transact((rows) => events.forEach(({ id }) => rows.delete([to, id])));
    },

    /** The key is of this project. True if that is new to this page. */
    belongsTo(name) {
      if (!name || name === project) return false;
      project = name;
      transact((_, keys) => keys.put({ to, project }));
      return true;
    },

    /** The key was rejected: of which project it is, may never have been known. */
    keyRejected() {
      // Without an answer to wait for; it fails where there is one already, and changes nothing.
      transact((_, keys) => keys.add({ to, project: null }));
    },

    /** At most `most` events of pages that are gone, now this page's; also what others left too long. */
    async adopt(most) {
      const isGone = await goneOwners();
      const adopted = [];
      const take = (rows, ours) => (row) => {
        if (row.owner === owner || adopted.length >= most || !isGone(row)) return;
        if (!ours.includes(row.to) && !isTooOld(row.event)) return;
        adopted.push(row.event);
        rows.delete([row.to, row.id]);
        rows.put({ ...row, to, owner, at: Date.now() });
      };
      await transact((rows, keys) => {
        keys.getAll().onsuccess = ({ target: { result: known } }) => {
          rows.getAll().onsuccess = ({ target: { result } }) =>
            result.forEach(take(rows, queues(known)));
        };
      }, true);
      return adopted;
    },
  };
}

async function goneOwners() {
  const locks = await navigator.locks?.query().catch(() => null);
  if (!locks) return ({ at }) => Date.now() - at > ORPHANED_AFTER_MS;
  const names = [...locks.held, ...locks.pending].map(({ name }) => name);
  return ({ owner }) => !names.includes(lockOf(owner));
}

function open() {
  return new Promise((opened, failed) => {
    setTimeout(failed, OPEN_WITHIN_MS); // some browsers never answer
    const request = indexedDB.open("livetally", 2);
    request.onupgradeneeded = ({ oldVersion }) => {
      const { result } = request;
      if (oldVersion < 1) result.createObjectStore("events", { keyPath: ["to", "id"] });
      result.createObjectStore("keys", { keyPath: "to" });
    };
    request.onerror = request.onblocked = failed;
    request.onsuccess = () => {
      request.result.onversionchange = () => request.result.close();
      opened(request.result);
    };
  });
}
