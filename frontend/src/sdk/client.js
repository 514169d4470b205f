import { watchAttributes } from "./page/attributes.js";
import { newId } from "./base/id.js";
import { watchPageViews } from "./page/page_views.js";
import { fits, pagePath, shorten } from "./page/path.js";
import { loadPointer } from "./page/pointer_loader.js";
import { recall, remember, sessionId } from "./page/session.js";
import { openStore } from "./send/store.js";
import { createTracker } from "./send/track.js";
import { campaign, isUncounted, referrer } from "./page/visit.js";

const MOST_PATHS = 200;
// A page may put its own in its place later.
const fetch = globalThis.fetch?.bind(globalThis);

const CLIENTS = Symbol.for("livetally.clients");

const warn = ({ code, message }) => console.warn(`livetally: ${message} (${code})`);

/** An address with one slash at its end, so that paths are added and not replaced. */
export const baseOf = (server) =>
  new URL(server, globalThis.location?.href).href.replace(/\/*$/, "/");

/**
 * Starts counting on this page. Started again, by another script or module of the page, it is the same
 * client: nothing counts twice.
 *
 *   key          a write key; without one nothing is counted
 *   server       the address of the service, where these scripts come from by default
 *   pageViews    count page views, also in single-page apps (true)
 *   hashRoutes   what follows the # in an address is part of the page's path (false)
 *   joinPaths    count /about, /about/ and /about/index.html as one page (false)
 *   attributes   count clicks and hovers on `data-livetally` elements (true)
 *   pointer      sample where the pointer is (false)
 *   ignoreDoNotTrack   count also those whose browser says Do Not Track or Global Privacy Control
 *   automation   count also browsers that a program steers, as tests do (false)
 *   onerror      told {code, message, events}: events that were refused for good, or dropped; or,
 *                without events, why none is being counted
 */
export function start({
  key,
  server,
  pageViews = true,
  attributes = true,
  pointer,
  onerror = warn,
  ...more
}) {
  const base = baseOf(server);
  const clients = (globalThis[CLIENTS] ??= new Map());
  const name = `${base} ${key}`;
  if (clients.has(name)) return clients.get(name);
  // Later and alone: an error in the page's own code must not stop ours.
  const report = (error) => queueMicrotask(() => onerror(error));
  const tracker = createTracker({
    server: base,
    fetch,
    openStore,
    report,
    gatherMs: pointer ? 500 : 100,
  });
  const ending = new AbortController();
  const { signal } = ending;
  const path = () => pagePath(more);
  let counting = false;
  let arrived = false;
  let about;

  function track(type, subject, properties) {
    if (!counting) return null;
    try {
      return tracker.track(named(type, 64), named(subject, 1_024), properties);
    } catch ({ message }) {
      report({ code: "invalid_event", message, events: [{ type, subject }] });
      return null;
    }
  }

  function pageView(page = path(), properties) {
    if (!counting || page === null) return null;
    const subject = shorten(String(page));
    const known = { ...campaign(location.search), ...about, ...properties };
    const id = track("page_view", subject, Object.keys(known).length > 0 ? known : undefined);
    about = {};
    const seen = recall("paths") ?? [];
    const mine = name + subject;
    if (id !== null && !seen.includes(mine)) {
      track("unique_page_view", subject);
      remember("paths", [mine, ...seen].slice(0, MOST_PATHS));
    }
    return id;
  }

  function begin() {
    // On a server that renders pages nobody visits one.
    if (counting || !key || !globalThis.document || isUncounted(more)) return;
    counting = true;
    if (attributes) watchAttributes(track, signal);
    if (pointer && path() !== null) loadPointer(base).then(followPointer, () => {});
    // What is only prepared in advance is sent, and is a view, when somebody sees it.
    if (!document.prerendering) followPage();
    else document.addEventListener("prerenderingchange", followPage, { once: true });
  }

  // Where it can't be had the rest still counts.
  function followPointer({ watchPointer }) {
    watchPointer((at) => track("pointer", path(), at), signal);
  }

  // Whatever `stop` ends: what was counted before is still to be sent.
  function followPage() {
    for (const name of ["online", "pageshow"]) addEventListener(name, tracker.hurry);
    document.addEventListener("visibilitychange", () =>
      document.hidden ? tracker.leave() : tracker.hurry(),
    );
    addEventListener("pagehide", () => {
      arrive(newId()); // too soon to know the session
      tracker.leave(true);
    });
    sessionId().then(arrive);
  }

  function arrive(session) {
    if (arrived) return;
    arrived = true;
    tracker.useKey(key, { session });
    const host = referrer();
    if (pageViews && counting && path() !== null) {
      if (host) {
        about = { referrer: host };
        track("referral", shorten(`${host} ${path()}`));
      }
      watchPageViews(pageView, path, signal);
    }
  }

  const client = {
    server: base,

    /** Counts one event. Returns its id, or null if nothing is counted. */
    track,

    /** Counts a view of a page, of this one by default, as `/v1/pages` shows them. */
    pageView,

    /** Counts with another key from now on, also what still waits. */
    useKey(other) {
      key = other;
      if (arrived) tracker.useKey(key);
      else begin();
    },

    /** Stops counting; what was counted is still sent. */
    stop() {
      ending.abort();
      counting = false;
      clients.delete(name);
    },
  };
  begin();
  if (counting) clients.set(name, client);
  return client;
}

function named(name, longest) {
  const text = String(name);
  if (text !== "" && fits(text, longest)) return text;
  throw new RangeError("A type has 1-64 characters, a subject 1-1024.");
}
