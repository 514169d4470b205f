import { attempt } from "../base/attempt.js";

// At most so many properties, so long: an event's have to stay under 16 KiB.
const MOST = 10;
const LONGEST = 200;
const OFF = "livetally:off";

/** Whether this browser's visits are not to be counted. */
export function isUncounted({ ignoreDoNotTrack, automation }) {
  const { globalPrivacyControl, doNotTrack, webdriver } = navigator;
  if (isSwitchedOff() || (webdriver && !automation)) return true;
  return !ignoreDoNotTrack && (globalPrivacyControl || doNotTrack === "1");
}

/** A visit with `?livetally=off` ends counting in this browser, until one with `?livetally=on`. */
function isSwitchedOff() {
  const wish = new URLSearchParams(location.search).get("livetally");
  // A browser that allows no storage forgets.
  const kept = attempt(() => {
    if (wish === "off") localStorage.setItem(OFF, "");
    if (wish === "on") localStorage.removeItem(OFF);
    return localStorage.getItem(OFF);
  });
  return wish === "off" || kept !== null;
}

/** The campaign that the page's address names; nothing else of its query. */
export const campaign = (query) =>
  Object.fromEntries(
    [...new URLSearchParams(query)]
      .filter(([name]) => /^(utm_\w{1,30}|ref)$/.test(name))
      .slice(0, MOST)
      .map(([name, value]) => [name, value.replaceAll("\0", "").slice(0, LONGEST)]),
  );

/** The site that led here, or "". Loaded again, or come back to, a page has the referrer it had. */
export function referrer() {
  return attempt(() => {
    const [{ type }] = performance.getEntriesByType("navigation");
    const { host } = new URL(document.referrer);
    return type === "navigate" && host !== location.host ? host : "";
  });
}
