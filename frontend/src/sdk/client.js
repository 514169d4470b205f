import { watchAttributes } from "./page/attributes.js";
import { watchPageViews } from "./page/page_views.js";
import { watchPointer } from "./page/pointer.js";
import { recall, remember, sessionId } from "./page/session.js";
import { Store } from "./send/store.js";
import { Tracker } from "./send/track.js";

const LONGEST_TYPE = 64;
const LONGEST_SUBJECT = 1_024;
const MOST_PATHS = 200;

/**
 * Starts counting on this page.
 *
 *   key          a write key; without one nothing is counted
 *   server       the address of the service, where these scripts come from by default
 *   pageViews    count page views, also in single-page apps (true)
 *   attributes   count clicks and hovers on `data-livetally` elements (true)
 *   pointer      sample where the pointer is (false)
 *   ignoreDoNotTrack   count also those whose browser says Do Not Track or Global Privacy Control
 *   onerror      told {code, message, events}: events that were refused for good, or dropped
 */
export function start({
  key = null,
  server,
  pageViews = true,
  attributes = true,
  pointer = false,
  ignoreDoNotTrack = false,
  onerror = () => {},
}) {
  const client = new Client({ key, server: baseOf(server), pointer, onerror });
  if (key !== null && (ignoreDoNotTrack || !declined())) {
    client.begin({ pageViews, attributes, pointer });
  }
  return client;
}

/** Whether this browser asks not to be tracked. */
export function declined({ globalPrivacyControl, doNotTrack } = navigator) {
  return globalPrivacyControl === true || doNotTrack === "1";
}

/** An address with one slash at its end, so that paths are added and not replaced. */
export const baseOf = (server) => new URL(server, location.href).href.replace(/\/*$/, "/");

class Client {
  #key;
  #tracker;
  #onerror;
  #session = null;
  #ends = [];

  constructor({ key, server, pointer, onerror }) {
    this.server = server;
    this.#key = key;
    this.#onerror = onerror;
    this.#tracker = new Tracker({
      server,
      openStore: (to) => new Store(to),
      report: (error) => this.#report(error),
      gatherMs: pointer ? 500 : 100,
    });
  }

  /** Counts one event. Returns its id, or null if nothing is counted. */
  track = (type, subject, properties) => {
    if (this.#session === null) return null;
    const named = [String(type), String(subject)];
    try {
      // A copy: what is sent again must be what was sent first.
      const copy = properties && { properties: JSON.parse(JSON.stringify(properties)) };
      if (fits(named[0], LONGEST_TYPE) && fits(named[1], LONGEST_SUBJECT)) {
        return this.#tracker.track(...named, { session: this.#session, ...copy });
      }
      throw new RangeError(`A type has 1-${LONGEST_TYPE} characters, a subject 1-${LONGEST_SUBJECT}.`);
    } catch ({ message }) {
      const [type, subject] = named;
      this.#report({ code: "invalid_event", message, events: [{ type, subject }] });
      return null;
    }
  };

  /** Counts a view of a page, of this one by default, as `/v1/pages` shows them. */
  pageView = (path = location.pathname) => {
    const id = this.track("page_view", path);
    if (id === null) return null;
    const seen = recall("paths") ?? [];
    if (!seen.includes(path)) {
      this.track("unique_page_view", path);
      remember("paths", [path, ...seen].slice(0, MOST_PATHS));
    }
    return id;
  };

  /** Stops counting; what was counted is still sent. */
  stop = () => {
    for (const end of this.#ends.splice(0)) end();
    this.#session = null;
  };

  begin({ pageViews, attributes, pointer }) {
    this.#session = sessionId();
    this.#tracker.useKey(this.#key);
    this.#followPage();
    if (pageViews) {
      this.#countReferrer();
      this.#ends.push(watchPageViews(this.pageView));
    }
    if (attributes) this.#ends.push(watchAttributes((type, subject) => this.track(type, subject)));
    if (pointer) {
      const sample = (properties) => this.track("pointer", location.pathname, properties);
      this.#ends.push(watchPointer(sample));
    }
  }

  // Not in `#ends`: what was counted before `stop` is still to be sent.
  #followPage() {
    const tracker = this.#tracker;
    addEventListener("online", () => tracker.hurry());
    addEventListener("pagehide", () => tracker.leave((...beacon) => navigator.sendBeacon(...beacon)));
    addEventListener("pageshow", ({ persisted }) => persisted && tracker.comeBack());
    // A phone may end a page that is out of sight without another word.
    document.addEventListener("visibilitychange", () => tracker.hurry());
  }

  // Loaded again, or come back to, a page has the referrer it had.
  #countReferrer() {
    const host = hostOf(document.referrer);
    const [{ type } = {}] = performance.getEntriesByType("navigation");
    if (!host || host === location.host || type !== "navigate") return;
    this.track("referral", `${host} ${location.pathname}`);
  }

  // Later and alone: an error in the page's own code must not stop ours.
  #report(error) {
    queueMicrotask(() => this.#onerror(error));
  }
}

const fits = (name, longest) =>
  name !== "" && (name.length <= longest || (name.length <= 2 * longest && [...name].length <= longest));

function hostOf(address) {
  try {
    return new URL(address).host;
  } catch {
    return "";
  }
}
