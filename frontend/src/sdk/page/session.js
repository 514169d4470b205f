import { newId } from "../base/id.js";

// What this tab remembers. A browser that allows no storage forgets, and that is all.

export function recall(name) {
  try {
    return JSON.parse(sessionStorage.getItem(`livetally:${name}`));
  } catch {
    return null;
  }
}

export function remember(name, value) {
  try {
    sessionStorage.setItem(`livetally:${name}`, JSON.stringify(value));
  } catch {
    // Full or forbidden.
  }
}

export function forget(name) {
  try {
    sessionStorage.removeItem(`livetally:${name}`);
  } catch {
    // Forbidden.
  }
}

/** This tab's session: random, no cookie, gone with the tab. */
export function sessionId() {
  const known = recall("session");
  if (typeof known === "string") return known;
  const session = newId();
  remember("session", session);
  return session;
}
