/** What this returns; null if it throws: storage that is forbidden, text that is no JSON. */
export function attempt(work) {
  try {
    return work();
  } catch {
    return null;
  }
}
