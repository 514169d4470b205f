import { attempt } from "../base/attempt.js";

const LONGEST = 1_024;
// What can't be seen, or turns around what stands beside it; two joiners are part of words.
const HIDDEN = /(?![\u200c\u200d])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}%]/u;

/**
 * The path of a page as it is counted: readable, and with a mark at its end if it had to be cut.
 * Null where this is no page of the web: a file, an extension, a frame without an address.
 *
 *   hashRoutes   what follows the # is part of the path
 *   joinPaths    /about/ and /about/index.html are /about
 */
export function pagePath({ hashRoutes, joinPaths } = {}, { protocol, pathname, hash } = location) {
  if (!/^https?:$/.test(protocol)) return null;
  const path = joinPaths ? pathname.replace(/\/+(index\.html?)?$/i, "") || "/" : pathname;
  const route = hashRoutes ? hash.split("?")[0] : "";
  return shorten((path + route).replace(/(?:%[89a-f][\da-f])+|%[2-7][\da-f]/gi, readable));
}

// Only what is the same again when it is encoded: %2F is no slash.
function readable(encoded) {
  const text = attempt(() => decodeURI(encoded));
  return text && encodeURI(text) === encoded.toUpperCase() && !HIDDEN.test(text) ? text : encoded;
}

/** No more characters than a subject may have. */
export const shorten = (text) =>
  fits(text, LONGEST) ? text : `${[...text].slice(0, LONGEST - 1).join("")}…`;

/** Whether it has no more than so many characters, each of one or two code units. */
export const fits = (text, most) => text.length <= 2 * most && [...text].length <= most;
