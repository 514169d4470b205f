/**
 * What `<script src=… data-key=…>` asks for, as options for `start`. `src` is the script's name: as
 * a module a script doesn't know its own element, and looks for it.
 */
export function readScript(name) {
  const script =
    document.currentScript ?? document.querySelector(`script[data-key][src*="/js/${name}"]`);
  if (!script?.src) return null;
  const { key, readKey, server, pageViews, attributes, pointer, ignoreDoNotTrack } = script.dataset;
  const options = { server: server ?? new URL("..", script.src).href };
  if (key !== undefined) options.key = key;
  if (readKey !== undefined) options.readKey = readKey;
  for (const [name, value] of Object.entries({ pageViews, attributes, pointer, ignoreDoNotTrack })) {
    if (value !== undefined) options[name] = value !== "off";
  }
  return options;
}

/** Puts the SDK where classic scripts look for it, and starts it if it was given a key. */
export function startScript(name, start) {
  if (globalThis.livetally?.start) return; // included twice: everything would count twice
  const options = readScript(name) ?? { server: location.origin };
  const started = options.key || options.readKey ? start(options) : {};
  globalThis.livetally = Object.assign(started, {
    start: (given) => start({ server: options.server, ...given }),
  });
}
