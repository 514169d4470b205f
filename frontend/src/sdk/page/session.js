import { attempt } from "../base/attempt.js";
import { newId } from "../base/id.js";
import { toJson } from "../base/json.js";
import { hold } from "../base/lock.js";

// A page that is left gives its lock back before, or soon after, the next page of the tab asks.
const GIVEN_BACK_WITHIN_MS = 500;
const SESSION = Symbol.for("livetally.session");

// What this tab remembers. A browser that allows no storage forgets, and that is all.

export const recall = (name) => attempt(() => JSON.parse(sessionStorage.getItem(`livetally:${name}`)));

export const remember = (name, value) =>
  attempt(() => sessionStorage.setItem(`livetally:${name}`, toJson(value)));

export const forget = (name) => attempt(() => sessionStorage.removeItem(`livetally:${name}`));

/** This tab's session: random, no cookie, gone with the tab. One for all scripts of the page. */
export const sessionId = () => (globalThis[SESSION] ??= settle());

/**
 * A tab that was opened or duplicated by another begins with a copy of what that one remembers. So
 * the page that is open in a tab holds a lock of its session's name: who can't get it is a copy, and
 * begins anew. A frame belongs to the tab's session, whose page has the lock.
 */
async function settle() {
  const known = recall("session");
  if (typeof known === "string" && (self !== parent || (await isOurs(known)))) return known;
  const fresh = newId();
  remember("session", fresh);
  forget("paths");
  isOurs(fresh);
  return fresh;
}

const isOurs = (session) =>
  new Promise((settled) => hold(`livetally session ${session}`, settled, GIVEN_BACK_WITHIN_MS));
