import { ask, Failed } from "../../data/reader.js";

/** The admin API, asked with the key of the moment. Throws `Failed` with what was wrong. */
export class AdminApi {
  #key;
  #refused;

  /** `refused(message)` hears that the key is no good. */
  constructor(key, refused) {
    this.#key = key;
    this.#refused = refused;
  }

  get = (path, parameters = {}) => this.#heard(ask(`/admin/v1/${path}`, parameters, this.#key()));

  send = (method, path, body) => this.#heard(this.#send(method, path, body));

  async #send(method, path, body) {
    const response = await fetch(`/admin/v1/${path}`, {
      method,
      headers: { "x-api-key": this.#key(), "content-type": "application/json" },
      body: body && JSON.stringify(body),
      signal: AbortSignal.timeout(15_000),
    }).catch(() => null);
    const answer = await response?.json().catch(() => null);
    if (!response?.ok || !answer) throw new Failed(response, answer?.error?.message);
    return answer;
  }

  async #heard(asking) {
    try {
      return await asking;
    } catch (error) {
      if (error.refusesKey) this.#refused(error.message);
      throw error;
    }
  }
}
