import { waitBeforeRetry } from "./sdk/backoff.js";
import { recall, remember } from "./sdk/session.js";

const ROLES = ["write_key", "read_key"];

/** `/page.json`: the project and its public keys, each null where the service gives none out. */
export async function readSettings() {
  for (let attempt = 0; ; attempt++) {
    const response = await fetch("/page.json", { cache: "no-store" }).catch(() => null);
    if (response?.ok) return response.json();
    if (response?.status === 404) return { project: null, write_key: null, read_key: null };
    await new Promise((done) => setTimeout(done, waitBeforeRetry(attempt, response)));
  }
}

/** The form that asks for the keys which the service doesn't give out. */
export class KeyForm {
  #form;
  #asked = [];

  constructor(form, use) {
    this.#form = form;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      use(this.#take());
    });
  }

  /** The keys that were typed into this tab before. */
  static typed() {
    return recall("keys") ?? {};
  }

  /** Shows the fields for these roles and no others; none hides the form. */
  ask(roles, message = "") {
    this.#asked = roles;
    for (const role of ROLES) this.#show(role, roles.includes(role));
    this.#form.querySelector("[data-message]").textContent = message;
    this.#form.hidden = roles.length === 0;
  }

  #show(role, asked) {
    const label = this.#form.querySelector(`[data-role="${role}"]`);
    label.hidden = !asked;
    label.querySelector("input").required = asked;
  }

  #take() {
    const keys = {};
    for (const role of this.#asked) keys[role] = this.#form.elements[role].value.trim();
    this.#form.reset();
    remember("keys", { ...KeyForm.typed(), ...keys });
    return keys;
  }
}
