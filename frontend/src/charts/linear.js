/**
 * Where a value is drawn: a domain's ends at a range's, and what is between in proportion; all of it in
 * the middle if the domain has no length. `invert` finds the value of a place.
 */
export function linear([first, last], [from, to]) {
  const place = (value) => from + (to - from) * (first === last ? 0.5 : (value - first) / (last - first));
  const invert = (at) => first + ((at - from) / (to - from)) * (last - first);
  return Object.assign(place, { invert });
}
