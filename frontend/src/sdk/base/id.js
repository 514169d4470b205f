/** A random UUID; `crypto.randomUUID` is missing on plain http from another machine. */
export function newId(crypto = globalThis.crypto) {
  const digit = () => (crypto.getRandomValues(new Uint8Array(1))[0] & 15).toString(16);
  return crypto.randomUUID?.() ?? "xxxxxxxx-xxxx-4xxx-8xxx-xxxxxxxxxxxx".replace(/x/g, digit);
}
