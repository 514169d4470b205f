import { isAboutEvents, isAck, isStrange, rejectsKey } from "./answer.js";
import { attempt } from "../base/attempt.js";
import { backoff, bounded } from "../base/backoff.js";
import { newId } from "../base/id.js";
import { toJson } from "../base/json.js";
import { createOutbox } from "./outbox.js";

const ANSWER_WITHIN_MS = 15_000;
// Browsers let a page that goes away have 64 KiB under way, all together.
const LAST_BYTES = 60_000;
const STRANGER = "Not Livetally, or a redirect: status ";

const textOf = (events) => `[${events.map(toJson)}]`;

/**
 * Sends events: gathered for a moment, one request at a time, and again with the same ids until
 * the server has answered. Until then they are in the store too, if there is one.
 *
 *   changed(again)  a request was answered, or wasn't: what is unconfirmed will be sent again
 *   report(error)   {code, message, events}: these were not counted, and never will be; or, with no
 *                   events, why none is being counted: once the key is rejected only another helps
 */
export function createTracker({
  server,
  fetch,
  openStore,
  report,
  changed = () => {},
  outbox = createOutbox(),
  gatherMs = 100,
  limits,
}) {
  let key = null;
  let common = {};
  let store = null;
  let timer = null;
  let sending = false;
  let surviving = false; // what is under way, the page that sends it
  let attempts = 0;
  let waitsAsTold = false;
  let toldOfStranger = false;

  function sendIn(delay) {
    clearTimeout(timer);
    timer = setTimeout(() => {
      timer = null;
      send();
    }, delay);
  }

  function sendSoon() {
    if (timer === null && !sending) sendIn(gatherMs);
  }

  /** Events that earlier pages, or tabs closed since, could not confirm, with the ids they had. */
  async function adopt() {
    const found = await store?.adopt(outbox.room());
    if (!found?.length) return;
    outbox.restore(found);
    sendSoon();
  }

  function dropOld() {
    const events = outbox.discard();
    if (events.length === 0) return;
    store?.forget(events);
    report({ code: "expired", message: "They waited for 23 hours.", events });
  }

  async function send(survives = false) {
    if (sending) return;
    dropOld();
    const batch = key === null ? [] : outbox.take(survives ? LAST_BYTES : undefined);
    if (batch.length === 0) return;
    sending = true;
    surviving = survives;
    const usedKey = key;
    const answer = await post(textOf(batch), survives);
    sending = surviving = false;
    settle(answer, batch, usedKey);
    if (outbox.unconfirmed().length > 0 && timer === null) sendIn(0);
    changed(attempts > 0);
  }

  // As a beacon is sent: a browser asks no permission first, which somebody on the way could refuse,
  // and tells a redirect from a server that can't be reached.
  const request = (url, body, keepalive) =>
    fetch(url, {
      method: "POST",
      body,
      keepalive,
      credentials: "omit",
      redirect: "manual",
      signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
    });

  async function post(text, survives) {
    const url = `${server}v1/events?api_key=${encodeURIComponent(key)}`;
    try {
      if (survives && !("keepalive" in Request.prototype)) throw text;
      const response = await request(url, text, survives);
      const { status, headers } = response;
      const body = await response.text();
      return { status, headers, body: attempt(() => JSON.parse(body)) };
    } catch {
      // A beacon may still pass where the browser lets no such request outlive its page.
      if (survives) navigator.sendBeacon?.(url, text);
      return {};
    }
  }

  function settle(answer, batch, usedKey) {
    const error = answer.body?.error;
    if (isAck(answer, batch.length)) confirm(answer, batch, answer.body.rejected);
    else if (rejectsKey(error?.code)) giveKeyUp(error, usedKey);
    else if (!isAboutEvents(error)) tryLater(answer, isStrange(answer));
    else if (batch.length > 1) outbox.shrink();
    else confirm(answer, batch, [{ index: 0, error }]);
  }

  function confirm({ headers }, batch, rejected) {
    attempts = 0;
    waitsAsTold = false;
    outbox.confirm();
    store?.forget(batch);
    if (store?.belongsTo(headers.get("livetally-project"))) adopt();
    for (const { index, error } of rejected) report({ ...error, events: [batch[index]] });
  }

  function giveKeyUp(error, usedKey) {
    outbox.putBack();
    if (usedKey !== key) return;
    key = null;
    store?.keyRejected();
    report({ ...error, events: [] });
  }

  function tryLater({ status, headers }, strange) {
    // A smaller one may pass, and one that never does must not keep the others.
    if (strange) outbox.shrink();
    else outbox.putBack();
    const asked = bounded(headers?.get("retry-after") * 1_000);
    waitsAsTold = asked > 0;
    sendIn(asked + backoff(attempts++, limits));
    if (strange && !toldOfStranger) {
      toldOfStranger = true;
      report({ code: "foreign_answer", message: STRANGER + status, events: [] });
    }
  }

  return {
    /** Null holds the events back until there is a key. `properties` are what all events have. */
    useKey(newKey, all = common) {
      key = newKey;
      common = all;
      const events = outbox.unconfirmed();
      for (const event of events) Object.assign(event, common);
      if (key !== null) {
        store?.forget(events);
        store = openStore(server, key);
        for (const event of events) store?.keep(event);
        adopt();
      }
      sendIn(0);
    },

    /** Returns the event's id. Throws a TypeError for properties that JSON can't say. */
    track(type, subject, properties) {
      const id = newId();
      const occurred_at = new Date().toISOString();
      // A copy: what is sent again must be what was sent first.
      const event = JSON.parse(toJson({ id, type, subject, occurred_at, properties, ...common }));
      if (outbox.add(event)) {
        store?.keep(event);
        sendSoon();
      } else {
        report({ code: "queue_full", message: "Too many events wait.", events: [event] });
      }
      return id;
    },

    /** Don't gather any longer; a server that said when to come back is still not asked earlier. */
    hurry() {
      adopt();
      if (!waitsAsTold) sendIn(0);
    },

    /**
     * The page goes out of sight, or away, and may end without another word: what is unconfirmed is
     * sent so that it arrives all the same, as much as the browser takes. The store keeps it until
     * it is confirmed; the ids make sending it again safe.
     */
    leave(away) {
      store?.write();
      if (key === null || surviving || (waitsAsTold && !away)) return;
      if (!sending) return send(true);
      surviving = true;
      post(textOf(outbox.first(LAST_BYTES)), true);
    },

    unconfirmed: outbox.unconfirmed,
  };
}
