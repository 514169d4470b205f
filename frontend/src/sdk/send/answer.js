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

/** The server's own error, {code, message}, or undefined. */
export const errorIn = ({ body }) =>
  typeof body?.error?.code === "string" && typeof body.error.message === "string"
    ? body.error
    : undefined;

/** Of a whole batch: it is too large, or one of its events makes it no JSON. */
export const isAboutBatch = ({ status }) => [400, 413, 415, 422].includes(status);

/** Somebody answered, and isn't only busy. */
export const isStrange = ({ status }) => status < 500 && status !== 429;
