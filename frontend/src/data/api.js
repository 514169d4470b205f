const ANSWER_WITHIN_MS = 15_000;

/** The API, asked with the key of the moment. What isn't answered as hoped for throws `Failed`. */
export class Api {
  #root;
  #key;
  #rejected;
  #clock;

  /** `rejected(message)` hears that the key is no good; `clock` learns the server's time. */
  constructor({ root = "/v1", key, rejected = () => {}, clock = null }) {
    this.#root = root;
    this.#key = key;
    this.#rejected = rejected;
    this.#clock = clock;
  }

  get(path, parameters = {}, signal = undefined) {
    const given = Object.entries(parameters).filter(([, value]) => value !== undefined);
    return this.#ask(`${path}?${new URLSearchParams(given)}`, { cache: "no-store" }, signal);
  }

  /** `/v1/stats`. Something in between may answer 200 in the server's place: that is a failure. */
  async stats(parameters, signal = undefined) {
    const body = await this.get("stats", parameters, signal);
    if (!Array.isArray(parameters.bucket ? body.series : body.subjects)) throw new Failed(null);
    return body;
  }

  send(method, path, body) {
    const headers = { "content-type": "application/json" };
    return this.#ask(path, { method, headers, body: body && JSON.stringify(body) });
  }

  async #ask(path, { headers, ...request }, signal = new AbortController().signal) {
    const response = await fetch(`${this.#root}/${path}`, {
      ...request,
      headers: { "x-api-key": this.#key(), ...headers },
      signal: AbortSignal.any([signal, AbortSignal.timeout(ANSWER_WITHIN_MS)]),
    }).catch(() => null);
    const body = await response?.json().catch(() => null);
    if (response?.ok && body) {
      this.#clock?.learn(response);
      return body;
    }
    const failed = new Failed(response, body?.error?.message);
    if (failed.rejectsKey) this.#rejected(body?.error?.message);
    throw failed;
  }
}

export class Failed extends Error {
  constructor(response, message) {
    super(message ?? "The server can't be reached.");
    this.response = response;
  }

  get status() {
    return this.response?.status;
  }

  get rejectsKey() {
    return this.status === 401 || this.status === 403;
  }

  /** Asking the same again won't help. */
  get final() {
    return this.status === 400 || this.status === 422;
  }
}
