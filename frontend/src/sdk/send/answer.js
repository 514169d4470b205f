/** Codes by which the server itself rejects a key. */
const KEY_REJECTIONS = ["unknown_key", "wrong_role", "foreign_origin"];
export const rejectsKey = (code) => KEY_REJECTIONS.includes(code);

// A status says little: captive portals and login pages answer 200, a router whose backends are
// being replaced 404. So only an answer of the server's own form decides; after any other the
// events wait.

/** Whether it says what became of each of so many events: counted, known already, or rejected. */
export const isAck = ({ status, body }, size) =>
  (status === 200 || status === 422) &&
  body?.accepted + body?.duplicates + body?.rejected?.length === size;

/** What the server says of a whole batch for the sake of one of its events. */
export const isAboutEvents = (error) =>
  ["malformed_json", "too_large", "unstorable_event"].includes(error?.code);

/** Somebody answered, and isn't only busy. */
export const isStrange = ({ status }) => status < 500 && ![408, 429].includes(status);
