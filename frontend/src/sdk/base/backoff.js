// What somebody asks who may not be the server at all.
const LONGEST_WAIT_MS = 300_000;

/**
 * How long to wait before attempt number `attempt` (from 0). Full jitter: after a restart all
 * viewers come back, and any fixed step would bring them back together.
 */
export function backoff(attempt, { base = 500, cap = 15_000, random = Math.random } = {}) {
  const shortest = base / 10;
  const longest = Math.min(cap, base * 2 ** attempt);
  return Math.round(shortest + random() * (longest - shortest));
}

/** A wait that somebody asks for, in milliseconds: nonsense is none, and none is for ever. */
export const bounded = (wait) => (wait > 0 ? Math.min(wait, LONGEST_WAIT_MS) : 0);

/** A Retry-After header (seconds or a date) as milliseconds; null when there is none to honour. */
export function retryAfter(header, now = Date.now()) {
  if (!header) return null;
  const wait = /^\d+$/.test(header.trim()) ? Number(header) * 1000 : Date.parse(header) - now;
  return Number.isNaN(wait) ? null : bounded(wait);
}

/** How long a restarting server asks to stay away, in its close reason; 0 when it doesn't say. */
export function reconnectAfter(reason) {
  let wait;
  try {
    wait = JSON.parse(reason).reconnect_after_ms;
  } catch {
    return 0;
  }
  return typeof wait === "number" ? bounded(wait) : 0;
}

/** The wait after a refused or failed request: never before the server's Retry-After. */
export function waitBeforeRetry(attempt, response, { random = Math.random, ...limits } = {}) {
  const jittered = backoff(attempt, { random, ...limits });
  const asked = retryAfter(response?.headers.get("retry-after"));
  return asked === null ? jittered : asked + jittered;
}
