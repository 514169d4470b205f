/**
 * A value as JSON that the server takes. Array.prototype.toJSON of an old library (Prototype.js
 * before 1.7) has no say, and half a surrogate pair, as a cut emoji leaves, becomes U+FFFD.
 */
export const toJson = (value) =>
  JSON.stringify(value, plainly)?.replace(/\\(?:u(d[89a-f])..|.)/g, (escape, half) =>
    half ? "\ufffd" : escape,
  );

// Called with the holder as `this`, after toJSON.
function plainly(name, value) {
  const given = this[name];
  return Array.isArray(given) || given?.constructor === Object ? given : value;
}
