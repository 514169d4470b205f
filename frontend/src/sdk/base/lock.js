/**
 * Holds a Web Lock while this page is there: the browser lets it go when the page ends, however it
 * ends. A page that may be kept in memory must not hold one: it takes it again when it comes back.
 * `held` is called with true, or with false after so many milliseconds without it.
 */
export function hold(name, held, withinMs = 86_400_000) {
  const { locks } = navigator;
  if (!locks) return held(true); // plain http: nobody can tell
  const signal = AbortSignal.timeout(withinMs);
  signal.onabort = () => held(false);
  const left = new Promise((leave) => addEventListener("pagehide", leave, { once: true }));
  const have = () => (held(true), left);
  locks.request(name, { signal }, have).catch(() => held(false));
  left.then(() => addEventListener("pageshow", () => hold(name, () => {}), { once: true }));
}
