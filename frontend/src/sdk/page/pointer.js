/**
 * Calls `sample(properties)` where the pointer is, while it moves, at most once in `everyMs`, and
 * at once where it goes down. Positions are all that is read, never what is pointed at or typed.
 */
export function watchPointer(sample, signal, everyMs = 100) {
  const options = { capture: true, passive: true, signal };
  let latest = null;
  let timer = null;
  const take = (more) => {
    clearTimeout(timer);
    timer = null;
    if (latest) sample({ ...placeOf(latest), ...more });
    latest = null;
  };
  const move = ({ pageX, pageY }) => {
    latest = { pageX, pageY };
    timer ??= setTimeout(take, everyMs);
  };
  addEventListener("pointermove", move, options);
  addEventListener(
    "pointerdown",
    (event) => {
      move(event);
      take({ down: true });
    },
    options,
  );
}

/** Fractions of the whole document, whose size in CSS pixels is told with them. */
function placeOf({ pageX, pageY }) {
  const { scrollWidth: width, scrollHeight: height } = document.documentElement;
  return { x: fraction(pageX, width), y: fraction(pageY, height), width, height };
}

export function fraction(at, size) {
  const part = size > 0 ? at / size : 0;
  return Math.round(Math.min(Math.max(part, 0), 1) * 10_000) / 10_000;
}
