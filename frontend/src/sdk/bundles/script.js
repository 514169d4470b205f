import { takeOver } from "./stub.js";

const TEXTS = ["key", "readKey", "server"];

/**
 * What `<script async src=… data-key=…>` asks for, as options for `start`; where a tag manager strips
 * attributes, `src="…?key=…"` does. `src` has the script's name: one that was put there by another
 * way doesn't know its own element, and looks for it.
 */
export function readScript(name) {
  // An element of the page that is called currentScript stands in its place.
  const { currentScript } = document;
  const script =
    currentScript instanceof HTMLScriptElement
      ? currentScript
      : document.querySelector(`script[src*="/js/${name}"]`);
  if (!script?.src) return { server: location.origin };
  const options = { server: new URL("..", script.src).href };
  const asked = [...new URL(script.src).searchParams, ...Object.entries(script.dataset)];
  for (const [name, value] of asked) {
    const option = name.replace(/-(\w)/g, (_, sign) => sign.toUpperCase());
    options[option] = TEXTS.includes(option) ? value : value !== "off";
  }
  return options;
}

/** Puts the SDK where classic scripts look for it, and starts it if it was given a key. */
export function startScript(name, start) {
  const { livetally } = globalThis;
  const options = readScript(name);
  const begin = (given) => takeOver(start({ server: options.server, ...given }));
  const started = options.key || options.readKey ? begin(options) : {};
  if (typeof livetally?.start === "function") return; // the first of several speaks for the page
  globalThis.livetally = Object.assign(livetally ?? {}, started, { start: begin });
}
