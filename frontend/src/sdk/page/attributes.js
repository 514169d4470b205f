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
  let gesture = null;
  let over = null;
  const ended = () => (gesture = null);
  on("click", (event) => {
    const element = find(event, "click");
    if (!element || isPartOf(gesture, event)) return;
    gesture = { trusted: event.isTrusted, control: labelledBy(event) };
    setTimeout(ended);
    happened("click", subjectOf(element));
  });
  // A timer may come late: what somebody does next is another gesture at once. A key that is held
  // clicks again and again.
  on("keydown", ({ repeat }) => (gesture = repeat ? { trusted: true } : null));
  on("keyup", ended);
  on("pointerdown", ended);
  on("pointerover", (event) => {
    const element = find(event, "hover");
    const before = over;
    over = element;
    // A finger has no hover: touching is a click only.
    if (!element || element === before || event.pointerType === "touch") return;
    // Nobody moved where the page only put another in its place.
    if (before?.isConnected === false && subjectOf(before) === subjectOf(element)) return;
    happened("hover", subjectOf(element));
  });
}

// Not element.getAttribute: in a form, an input of that name stands in its place.
const attribute = (element, name) => Element.prototype.getAttribute.call(element, name);
const subjectOf = (element) => attribute(element, NAME);

function asks(node, type) {
  if (!(node instanceof Element) || subjectOf(node) === null) return false;
  return (attribute(node, `${NAME}-on`) ?? "click").split(/\s+/).includes(type);
}

/** The control that the browser clicks after its label was clicked, also in a shadow root there. */
const labelledBy = (event) =>
  event.composedPath().find((node) => node instanceof HTMLLabelElement)?.control;

// What follows a click before its task ends is of the same gesture: the click on a label's control,
// and what the page itself clicks. A pointer's own clicks have a `detail`.
const isPartOf = (gesture, event) =>
  gesture &&
  (event.composedPath()[0] === gesture.control || (gesture.trusted && event.detail === 0));
