/**
 * Calls `view(path)` for the page, and whenever a single-page app goes to another path. A page that
 * is only prepared in advance counts when somebody sees it. Returns what ends it.
 */
export function watchPageViews(view) {
  const ending = new AbortController();
  const { signal } = ending;
  let path = null;
  const look = () => {
    if (signal.aborted || document.prerendering || location.pathname === path) return;
    path = location.pathname;
    view(path);
  };
  const again = ({ persisted }) => {
    if (!persisted) return;
    path = null;
    look();
  };
  for (const name of ["pushState", "replaceState"]) wrap(name, look);
  addEventListener("popstate", look, { signal });
  addEventListener("pageshow", again, { signal });
  document.addEventListener("prerenderingchange", look, { signal });
  look();
  return () => ending.abort();
}

// It stays wrapped: somebody else may have wrapped ours meanwhile.
function wrap(name, look) {
  const original = history[name];
  history[name] = function (...given) {
    const result = original.apply(this, given);
    look();
    return result;
  };
}
