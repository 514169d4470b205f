/**
 * What a page needs until the SDK is here: `track`, `pageView` and `live` can be called, and what
 * they return ends a subscription. It stands in every page, so it is short.
 */
export const STUB = `window.livetally ??= ((calls) => {
  const keep = (name) => (...given) => {
    const call = { name, given };
    calls.push(call);
    return () => (call.end ? call.end() : (call.name = ""));
  };
  return { calls, track: keep("track"), pageView: keep("pageView"), live: keep("live") };
})([]);`;

/**
 * What to put into a page, as HTML. Nothing in the page waits for it, whatever the server does:
 * neither the parser, nor DOMContentLoaded, nor `load`.
 */
export function snippet({ server, ...options }) {
  const module = JSON.stringify(new URL("js/livetally.mjs", server));
  const given = JSON.stringify(options);
  const start = `import(${module}).then(({ start }) => start(${given})).catch(() => {});`;
  return `<script>\n${STUB}\n${start.replaceAll("<", "\\u003c")}\n</script>`;
}

/** The stub's calls are made by this client, and from now on it is called directly. */
export function takeOver(client) {
  const { livetally } = globalThis;
  if (!Array.isArray(livetally?.calls)) return client;
  const { calls } = livetally;
  delete livetally.calls;
  Object.assign(livetally, client);
  // Alone: an error in one must not stop the others.
  for (const call of calls) queueMicrotask(() => (call.end = client[call.name]?.(...call.given)));
  return client;
}
