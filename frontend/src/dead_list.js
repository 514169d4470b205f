import { counted, element, write } from "./element.js";

/** What the queue refused: why, what it was, and its second chance. */
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
      this.#find("[data-letters]").replaceChildren(...dead_letters.map((each) => this.#letter(each)));
      this.#find("[data-all]").disabled = dead_letters.length === 0;
      this.#say(dead_letters.length === 0 ? "There are none." : counted(dead_letters.length, "letter"));
    } catch (error) {
      this.#find("[data-letters]").replaceChildren();
      this.#find("[data-all]").disabled = true;
      this.#say(error.response?.status === 404 ? "There is no queue here." : error.message);
    }
  }

  #letter(letter) {
    const payload = element("pre", { tabindex: "0" }, "Reading…");
    const button = element("button", { class: "button quiet", type: "button" }, "Replay");
    const summary = element("summary", {}, `${letter.cause ?? "unknown"}: ${letter.reason ?? letter.id}`);
    const details = element("details", {}, summary, payload, button);
    button.addEventListener("click", () => this.#replay({ ids: [letter.id] }, "this one"));
    details.addEventListener("toggle", () => details.open && this.#show(letter.id, payload));
    return element("li", {}, details);
  }

  async #show(id, payload) {
    try {
      const letter = await this.#api.get(`dead-letters/${encodeURIComponent(id)}`);
      write(payload, JSON.stringify(letter, null, 1));
    } catch (error) {
      write(payload, error.message);
    }
  }

  async #replay(which, said) {
    const dry_run = this.#find("[data-dry]").checked;
    if (!dry_run && !(await this.#sure(`Send ${said} to the queue again.`, "Replay"))) return;
    try {
      const answer = await this.#api.send("POST", "dead-letters/replay", { ...which, dry_run });
      if (!dry_run) await this.read();
      this.#say(`${dry_run ? "Would send" : "Sent"}: ${JSON.stringify(answer)}`);
    } catch (error) {
      this.#say(error.message);
    }
  }
}
