import { counted, element } from "../../lib/element.js";

const NOTHING_SENT = { unconfirmed: 0, dropped: 0, rejected: { count: 0 } };

/** What the page owes its reader to say: counts that are old, events not counted. */
export function notesFor(connection, { sending = NOTHING_SENT, error = null } = {}) {
  const notes = [];
  if (connection.name === "stale") {
    notes.push("The server can't reach its database. The counts are the last it knew.");
  }
  if (sending.retrying && sending.unconfirmed > 0) {
    notes.push(`${counted(sending.unconfirmed, "event")} not confirmed yet; sending again.`);
  } else if (sending.slow) {
    notes.push(`${counted(sending.unconfirmed, "event")} not confirmed yet; the server is slow.`);
  }
  if (sending.dropped > 0) {
    notes.push(`${counted(sending.dropped, "event")} dropped and not counted: too many waited.`);
  }
  if (sending.rejected.count > 0) {
    const { count, message } = sending.rejected;
    notes.push(`${counted(count, "event")} refused and not counted: ${message}`);
  }
  if (error) notes.push(`The live connection reports: ${error}`);
  return notes;
}

/** Fills the live region, unless it says the same already: that would be announced again. */
export function showNotes(region, notes) {
  const shown = [...region.children].map((line) => line.textContent);
  if (shown.join("\n") === notes.join("\n")) return;
  region.replaceChildren(...notes.map((note) => element("p", {}, note)));
}
