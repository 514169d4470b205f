import { once } from "node:events";
import { createServer } from "node:http";
import { Api } from "../../src/data/api.js";

/**
 * A real HTTP server and an `Api` that asks it. `answer(query)` makes the body of what has no answer
 * in `answers`, each {status, headers, body, when}: one with `when` waits for that promise.
 */
export async function serveApi(answer, options = {}) {
  const served = { requests: [], answers: [] };
  const server = createServer(async (request, response) => {
    const url = new URL(request.url, "http://localhost");
    const query = Object.fromEntries(url.searchParams);
    served.requests.push({ path: url.pathname, query, key: request.headers["x-api-key"] });
    served.onrequest?.();
    const given = served.answers.shift() ?? {};
    const body = given.body ?? answer(query);
    await given.when;
    const text = typeof body === "string" ? body : JSON.stringify(body);
    response.writeHead(given.status ?? 200, { "content-type": "application/json", ...given.headers });
    response.end(text);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  served.close = () => {
    server.closeAllConnections();
    server.close();
  };
  /** Resolves when so many requests have come. */
  served.asked = (n) =>
    new Promise((done) => {
      served.onrequest = () => served.requests.length >= n && done();
      served.onrequest();
    });
  const root = `http://127.0.0.1:${server.address().port}/v1`;
  served.api = new Api({ root, key: () => "read-key", ...options });
  return served;
}
