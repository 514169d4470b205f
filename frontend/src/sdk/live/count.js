import { baseOf } from "../client.js";
import { subscribe } from "./connections.js";

// A screen reader is told a number that moves all the time now and then, not every time.
const ANNOUNCE_EVERY_MS = 10_000;
const WATCHED = ["type", "subject", "key", "server", "label"];
const UNKNOWN = "–";

let sheet = null;
const STYLE = `
  :host { display: inline-block; font-variant-numeric: tabular-nums; }
  :host([hidden]) { display: none; }
  :host(:not([data-state="live"])) [part="count"] { opacity: 0.55; }
  [part="note"]:not(:empty)::before { content: " "; }
  [part="note"] { font-size: 0.75em; opacity: 0.8; }
  [role="status"] { position: absolute; width: 1px; height: 1px; overflow: hidden;
    clip-path: inset(50%); white-space: nowrap; }
`;

const NOTES = {
  connecting: "",
  live: "",
  stale: "(stale)",
  reconnecting: "(reconnecting)",
  offline: "(offline)",
  refused: "(not available)",
};

/**
 * `<livetally-count type="click" subject="red" key="…">`: a total, live. Without `subject` the
 * type's grand total; `label` is said and shown after it. The state is in `data-state`, and in
 * words beside the number when it is not to be trusted.
 */
class LivetallyCount extends (globalThis.HTMLElement ?? Object) {
  static observedAttributes = WATCHED;
  static home = null;
  #count = part("count", { "aria-hidden": "true" });
  #note = part("note", { "aria-hidden": "true" });
  #status = part("status", { role: "status" });
  #total = null;
  #state = "connecting";
  #end = null;
  #restarting = false;
  #announcing = null;
  #announcedAt = -Infinity;

  constructor() {
    super();
    const root = this.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = [styles()];
    root.append(this.#count, this.#note, this.#status);
  }

  connectedCallback() {
    this.#restart();
  }

  disconnectedCallback() {
    this.#stop();
  }

  attributeChangedCallback(name, before, now) {
    if (before !== now && this.isConnected) this.#restart();
  }

  // Once, however many attributes are set at a time.
  #restart() {
    if (this.#restarting) return;
    this.#restarting = true;
    queueMicrotask(() => {
      this.#restarting = false;
      this.#stop();
      if (this.isConnected) this.#watch();
    });
  }

  #watch() {
    const [type, subject, key, server] = WATCHED.map((name) => this.getAttribute(name));
    this.#total = null;
    const from = server ?? LivetallyCount.home;
    const asked = type && key && from;
    this.#show(asked ? "connecting" : "refused");
    if (!asked) return;
    const topic = subject === null ? { totals: type } : { totals: type, subjects: [subject] };
    this.#end = subscribe(
      { server: baseOf(from), key },
      topic,
      (message) => this.#receive(message),
      ({ name }) => this.#show(name),
    );
  }

  #stop() {
    this.#end?.();
    this.#end = null;
    clearTimeout(this.#announcing);
    this.#announcing = null;
  }

  #receive({ type, total }) {
    if (type === "error") return this.#show("refused");
    if (typeof total !== "number") return;
    this.#total = total;
    this.#show(this.#state);
  }

  #show(state) {
    this.#state = state === "live" && this.#total === null ? "connecting" : state;
    this.dataset.state = this.#state;
    write(this.#count, this.#text());
    write(this.#note, NOTES[this.#state]);
    this.#announcing ??= setTimeout(
      () => this.#announce(),
      Math.max(0, this.#announcedAt + ANNOUNCE_EVERY_MS - performance.now()),
    );
  }

  #announce() {
    this.#announcing = null;
    if (this.#total === null && NOTES[this.#state] === "") return;
    this.#announcedAt = performance.now();
    write(this.#status, `${this.#text()} ${NOTES[this.#state]}`.trim());
  }

  #text() {
    const label = this.getAttribute("label");
    const number = this.#total === null ? UNKNOWN : format(this, this.#total);
    return label ? `${number} ${label}` : number;
  }
}

/** One for all. A constructed sheet: a page's policy against inline styles doesn't touch it. */
function styles() {
  if (sheet === null) {
    sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLE);
  }
  return sheet;
}

function part(name, attributes) {
  const node = document.createElement("span");
  node.setAttribute("part", name);
  for (const [attribute, value] of Object.entries(attributes)) node.setAttribute(attribute, value);
  return node;
}

function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function format(element, number) {
  const language = element.closest("[lang]")?.lang;
  try {
    return new Intl.NumberFormat(language || undefined).format(number);
  } catch {
    return String(number); // a page may claim a language that there is not
  }
}

/** Makes the element known. `home` is the server of those that name none. */
export function defineCount(home) {
  LivetallyCount.home = home;
  // On a server that renders pages there are no elements.
  if (!globalThis.customElements || customElements.get("livetally-count")) return;
  customElements.define("livetally-count", LivetallyCount);
}
