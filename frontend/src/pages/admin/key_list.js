import { element, write } from "../../lib/element.js";

const date = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });

/** Keys: made, listed, revoked. A new one is shown until its reader is done with it. */
export class KeyList {
  #root;
  #api;
  #sure;
  #next = null;

  /** `sure(what)` asks the reader, and tells whether they are. */
  constructor(root, api, sure) {
    this.#root = root;
    this.#api = api;
    this.#sure = sure;
    this.#find("[data-new]").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#try(() => this.#make(event.target));
    });
    this.#find("[data-more]").addEventListener("click", () => this.#try(() => this.#read()));
    this.#find("[data-done]").addEventListener("click", () => this.#show(null));
    this.#find("[data-copy]").addEventListener("click", () => this.#copy());
  }

  read() {
    this.#next = null;
    return this.#try(() => this.#read());
  }

  /** The key that was made is no longer on the page. */
  forget() {
    this.#show(null);
    this.#find("tbody").replaceChildren();
  }

  #find(selector) {
    return this.#root.querySelector(selector);
  }

  async #try(act) {
    const problem = this.#find("[data-problem]");
    write(problem, "");
    try {
      await act();
    } catch (error) {
      write(problem, error.message);
    }
  }

  async #read() {
    const before = this.#next ?? undefined;
    const { keys, next } = await this.#api.get("keys", { limit: 100, before });
    if (before === undefined) this.#find("tbody").replaceChildren();
    this.#find("tbody").append(...keys.map((key) => this.#row(key)));
    this.#next = next;
    this.#find("[data-more]").hidden = next === null;
  }

  async #make(form) {
    const { project, name, role, origins, rate } = form.elements;
    const made = await this.#api.send("POST", "keys", {
      project: project.value,
      name: name.value,
      role: role.value,
      origins: origins.value.split(/[\s,]+/).filter(Boolean),
      rate: rate.value === "" ? null : Number(rate.value),
    });
    form.reset();
    this.#show(made.key);
    await this.read();
  }

  #show(key) {
    write(this.#find("[data-secret]"), key ?? "");
    write(this.#find("[data-copy]"), "Copy");
    this.#find("[data-made]").hidden = key === null;
    if (key !== null) this.#find("[data-copy]").focus();
  }

  async #copy() {
    const code = this.#find("[data-secret]");
    try {
      await navigator.clipboard.writeText(code.textContent);
      write(this.#find("[data-copy]"), "Copied");
    } catch {
      getSelection().selectAllChildren(code); // not allowed to: one keystroke away
    }
  }

  #row({ project, name, role, origins, rate, created_at, revoked_at }) {
    const state = element("td", { class: "text" });
    if (revoked_at) state.append(`revoked ${date.format(new Date(revoked_at))}`);
    else {
      const button = element("button", { class: "button quiet", type: "button" }, "Revoke");
      button.setAttribute("aria-label", `Revoke ${name} of ${project}`);
      button.addEventListener("click", () => this.#try(() => this.#revoke(project, name)));
      state.append(button);
    }
    const cell = (text) => element("td", { class: "text" }, text);
    return element(
      "tr",
      {},
      element("th", { scope: "row" }, `${project} / `, element("bdi", {}, name)),
      cell(role),
      cell(origins.join(", ") || "any"),
      cell(rate === null ? "any" : `${rate}/s`),
      cell(date.format(new Date(created_at))),
      state,
    );
  }

  async #revoke(project, name) {
    const what = `The key “${name}” of ${project} is refused everywhere within 5 s, for ever.`;
    if (!(await this.#sure(what, "Revoke"))) return;
    const path = [project, name].map(encodeURIComponent).join("/");
    await this.#api.send("DELETE", `keys/${path}`);
    await this.read();
  }
}
