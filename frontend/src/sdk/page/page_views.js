import { attempt } from "../base/attempt.js";

/**
 * Calls `view(path)` for the page, and whenever a single-page app goes to another path, by whatever
 * way. `pathNow()` is null where there is nothing to count.
 */
export function watchPageViews(view, pathNow, signal) {
  let path = null;
  const look = () => {
    const now = signal.aborted ? null : pathNow();
    if (now === null || now === path) return;
    path = now;
    view(path);
  };
  const again = ({ persisted }) => {
    if (persisted) path = null;
    look();
  };
  for (const name of ["pushState", "replaceState"]) wrap(name, look);
  addEventListener("popstate", look, { signal });
  // A page's own variable may stand where the browser's Navigation API is.
  globalThis.navigation?.addEventListener?.("currententrychange", look, { signal });
  addEventListener("pageshow", again, { signal });
  look();
}

// It stays wrapped: somebody else may have wrapped ours meanwhile. It may also be frozen.
function wrap(name, look) {
  const original = history[name];
  attempt(() => {
    history[name] = function (...given) {
      const result = original.apply(this, given);
      look();
      return result;
    };
  });
}
