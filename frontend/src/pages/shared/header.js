import { write } from "../../lib/element.js";
import { Status } from "./status.js";

const title = document.title;

/** The part that all pages have: whose counts these are, and how far they can be trusted. */
export const status = new Status(document.querySelector("#connection"));

export function showProject(name) {
  if (!name) return;
  const shown = document.querySelector("#project");
  write(shown, name);
  shown.hidden = false;
  document.title = `${name} · ${title}`;
}
