const NAME = "data-livetally";

/**
 * Calls `happened(type, subject)` for clicks, and hovers where they are asked for, on elements with
 * `data-livetally="subject"`, also those that come later or live in an open shadow root:
 *
 *   data-livetally-on="click hover"   which of the two; without it, clicks
 */
export function watchAttributes(happened) {
  const ending = new AbortController();
  // Capturing on the window: the page's own handlers can't keep an event from being counted.
  const options = { capture: true, passive: true, signal: ending.signal };
  const on = (type, react) => addEventListener(type, react, options);
  const count = (type, event) => {
    const element = event.composedPath().find((node) => node instanceof Element && marked(node));
    if (element && wants(element, type)) happened(type, attribute(element, NAME));
  };
  let over = null;
  on("click", (event) => count("click", event));
  on("pointerover", (event) => {
    const element = event.composedPath().find((node) => node instanceof Element && marked(node));
    const entered = element !== over;
    over = element;
    // A finger has no hover: touching is a click only.
    if (entered && event.pointerType !== "touch") count("hover", event);
  });
  return () => ending.abort();
}

// Not element.getAttribute: in a form, an input of that name stands in its place.
const attribute = (element, name) => Element.prototype.getAttribute.call(element, name);
const marked = (element) => attribute(element, NAME) !== null;

function wants(element, type) {
  return (attribute(element, `${NAME}-on`) ?? "click").split(/\s+/).includes(type);
}
