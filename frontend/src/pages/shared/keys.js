import { waitBeforeRetry } from "../../sdk/base/backoff.js";
import { forget, recall, remember } from "../../sdk/page/session.js";

/** `/page.json`: the project and its public keys, each null where the service gives none out. */
async function readSettings() {
  for (let attempt = 0; ; attempt++) {
    const response = await fetch("/page.json", { cache: "no-store" }).catch(() => null);
    if (response?.ok) return response.json();
    if (response?.status === 404) return { project: null, write_key: null, read_key: null };
    await new Promise((done) => setTimeout(done, waitBeforeRetry(attempt, response)));
  }
}

/**
 * A page's keys, one for each role that its form has a field for: given out by the service, or
 * typed into this tab, or asked for. They are kept in session storage and nowhere else.
 *
 *   use(role, key)    try this one; null: there is none (any more)
 *   asks(roles)       the form is shown for these; none: it is hidden
 */
export class Keys {
  #form;
  #use;
  #asks;
  #keys;

  constructor(form, { use, asks = () => {} }) {
    this.#form = new KeyForm(form, (typed) => this.#take(typed), () => this.#forget());
    this.#use = use;
    this.#asks = asks;
    this.#keys = Object.fromEntries(this.#form.roles.map((role) => [role, null]));
  }

  get(role) {
    return this.#keys[role];
  }

  /** Returns the project's name, if the service tells. */
  async start() {
    const settings = await readSettings();
    const typed = KeyForm.typed();
    const roles = this.#form.roles;
    this.#take(Object.fromEntries(roles.map((role) => [role, settings[role] ?? typed[role] ?? null])));
    return settings.project;
  }

  /** The service may have got new keys since the page was loaded; ask people only after that. */
  async rejected(role, message) {
    const rejected = this.#keys[role];
    if (rejected === null) return;
    this.#keys[role] = null;
    this.#use(role, null);
    const settings = await readSettings();
    if (settings[role] && settings[role] !== rejected) return this.#take({ [role]: settings[role] });
    this.#askForMissing(message || "The key was refused.");
  }

  #take(given) {
    for (const [role, key] of Object.entries(given)) {
      if (!key) continue;
      this.#keys[role] = key;
      this.#use(role, key);
    }
    this.#askForMissing();
  }

  #forget() {
    forget("keys");
    location.reload();
  }

  #askForMissing(message) {
    const missing = this.#form.roles.filter((role) => this.#keys[role] === null);
    this.#form.ask(missing, message);
    this.#asks(missing);
  }
}

/** The form that asks for the keys which the service doesn't give out. */
class KeyForm {
  roles;
  #form;
  #forgetting;
  #missing = [];

  constructor(form, use, forgetAll) {
    this.#form = form;
    this.roles = [...form.querySelectorAll("[data-role]")].map(({ dataset }) => dataset.role);
    this.#forgetting = document.querySelector("[data-forget-keys]");
    this.#forgetting?.addEventListener("click", forgetAll);
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
    this.#missing = roles;
    for (const role of this.roles) this.#show(role, roles.includes(role));
    this.#form.querySelector("[data-message]").textContent = message;
    this.#form.hidden = roles.length === 0;
    if (this.#forgetting) this.#forgetting.hidden = Object.keys(KeyForm.typed()).length === 0;
  }

  #show(role, missing) {
    const label = this.#form.querySelector(`[data-role="${role}"]`);
    label.hidden = !missing;
    label.querySelector("input").required = missing;
  }

  #take() {
    const keys = {};
    for (const role of this.#missing) keys[role] = this.#form.elements[role].value.trim();
    this.#form.reset();
    remember("keys", { ...KeyForm.typed(), ...keys });
    return keys;
  }
}
