const NAME = "data-livetally";

/**
 * Calls `happened(type, subject)` for clicks, and hovers where they are asked for, on elements with
 * `data-livetally="subject"`, also those that come later or live in an open shadow root:
 *
 *   data-livetally-on="click hover"   which of the two; without it, clicks
 *
 * Of marked elements in each other the innermost counts that asks for it.
 */
export function watchAttributes(happened, signal) {
  // Capturing on the window: the page's own handlers can't keep an event from being counted.
  const options = { capture: true, passive: true, signal };
  const on = (type, react) => addEventListener(type, react, options);
  const find = (event, type) => event.composedPath().find((node) => asks(node, type));
  const count = (type, element) => happened(type, attribute(element, NAME));
  let gesture = null;
  let over = null;
  const ended = () => (gesture = null);
  on("click", (event) => {
    const element = find(event, "click");
    if (!element || isPartOf(gesture, event)) return;
    gesture = { trusted: event.isTrusted, control: labelledBy(event) };
    setTimeout(ended);
    count("click", element);
  });
  // A timer may come late: what somebody does next is another gesture at once.
  on("keydown", ended);
  on("pointerdown", ended);
  on("pointerover", (event) => {
    const element = find(event, "hover");
    const entered = element !== over;
    over = element;
    // A finger has no hover: touching is a click only.
    if (element && entered && event.pointerType !== "touch") count("hover", element);
  });
}

// Not element.getAttribute: in a form, an input of that name stands in its place.
const call = (method, element, name) => Element.prototype[method].call(element, name);
const attribute = (element, name) => call("getAttribute", element, name);

function asks(node, type) {
  if (!(node instanceof Element) || attribute(node, NAME) === null) return false;
  return (attribute(node, `${NAME}-on`) ?? "click").split(/\s+/).includes(type);
}

/** The control that the browser clicks after its label was clicked. */
function labelledBy(event) {
  return call("closest", event.composedPath()[0], "label")?.control;
}

// What follows a click before its task ends is of the same gesture: the click on a label's control,
// and what the page itself clicks. A pointer's own clicks have a `detail`.
const isPartOf = (gesture, event) =>
  gesture &&
  (event.composedPath()[0] === gesture.control || (gesture.trusted && event.detail === 0));
