import { Live } from "../../sdk/live/live.js";
import { showProject, status } from "./header.js";
import { notesFor, showNotes } from "./notes.js";

export const LIVE_URL = new URL("/v1/live", location.href.replace(/^http/, "ws")).href;

/** A page's live connection, with the key of this role; its header and its notes say how it is. */
export function openLive({ keys, role, ready = () => {} }) {
  const notes = document.querySelector("#notes");
  const live = new Live({
    url: LIVE_URL,
    handlers: {
      ready(message) {
        showProject(message.project);
        ready(message);
      },
      state(state) {
        status.show(state);
        showNotes(notes, notesFor(state));
      },
      error: ({ message }) => showNotes(notes, notesFor(live.state, { error: message })),
      refused: (reason) => keys.rejected(role, reason),
    },
  });
  return live;
}
