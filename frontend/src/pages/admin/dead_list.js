import { counted, element, write } from "../../lib/element.js";

const time = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

/** What the queue rejected: why, what it was, and its second chance. */
export class DeadList {
  #root;
  #api;
  #sure;

  constructor(root, api, sure) {
    this.#root = root;
    this.#api = api;
    this.#sure = sure;
    this.#find("[data-again]").addEventListener("click", () => this.read());
    this.#find("[data-all]").addEventListener("click", () => this.#replay({ all: true }, "all of them"));
  }

  #find(selector) {
    return this.#root.querySelector(selector);
  }

  #say(text) {
    write(this.#find("[data-said]"), text);
  }

  async read() {
    try {
      const { dead_letters } = await this.#api.get("dead-letters", { limit: 100 });
      this.#show(dead_letters);
      this.#say(dead_letters.length === 0 ? "There are none." : counted(dead_letters.length, "letter"));
    } catch (error) {
      const noQueue = error.status === 404;
      this.#show([]);
      this.#find("[data-acts]").hidden = noQueue;
      this.#say(noQueue ? "There is no queue here." : error.message);
    }
  }

  #show(letters) {
    this.#find("[data-acts]").hidden = false;
    this.#find("[data-all]").disabled = letters.length === 0;
    this.#find("[data-letters]").replaceChildren(...letters.map((each) => this.#letter(each)));
  }

  #letter({ id, cause, reason, sent_at, receives, bytes }) {
    const why = element("b", {}, cause ?? "unknown");
    const about = `Sent ${time.format(new Date(sent_at))}, received ${counted(receives, "time")}, ${counted(bytes, "byte")}.`;
    const found = element("div", {}, element("p", { class: "hint" }, "Reading…"));
    const button = element("button", { class: "button quiet", type: "button" }, "Replay");
    button.setAttribute("aria-label", `Replay ${id}`);
    button.addEventListener("click", () => this.#replay({ ids: [id] }, "this one"));
    const details = element(
      "details",
      {},
      element("summary", {}, why, ` ${reason ?? id}`),
      element("p", { class: "hint" }, about),
      found,
      button,
    );
    details.addEventListener("toggle", () => details.open && this.#open(id, found));
    return element("li", {}, details);
  }

  /** What was wrong with each of its lines, and all of it. */
  async #open(id, found) {
    try {
      const { lines, body } = await this.#api.get(`dead-letters/${encodeURIComponent(id)}`);
      const wrong = lines.map(({ line, reason }) => element("li", {}, `Number ${line}: ${reason}`));
      found.replaceChildren(element("ul", {}, ...wrong), element("pre", { tabindex: "0" }, body));
    } catch (error) {
      found.replaceChildren(element("p", { class: "problem" }, error.message));
    }
  }

  async #replay(which, said) {
    const dry_run = this.#find("[data-dry]").checked;
    if (!dry_run && !(await this.#sure(`Send ${said} to the queue again.`, "Replay"))) return;
    try {
      const answer = await this.#api.send("POST", "dead-letters/replay", { ...which, dry_run });
      if (!dry_run) await this.read();
      this.#say(sayReplayed(answer));
    } catch (error) {
      this.#say(error.message);
    }
  }
}

function sayReplayed({ ids, missing, failed, dry_run }) {
  const letters = counted(ids.length, "letter");
  const parts = [dry_run ? `${letters} would be sent again.` : `${letters} sent again.`];
  // Gone, or hidden for a moment because somebody else looks at it.
  if (missing.length > 0) parts.push(`${counted(missing.length, "letter")} not found.`);
  if (failed.length > 0) parts.push(`${counted(failed.length, "letter")} not sent: ${failed[0].reason}`);
  return parts.join(" ");
}
