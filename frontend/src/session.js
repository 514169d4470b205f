// What this tab remembers. A browser that allows no storage forgets, and that is all.

export function recall(name) {
  try {
    return JSON.parse(sessionStorage.getItem(`livetally:${name}`));
  } catch {
    return null;
  }
}

export function remember(name, value) {
  try {
    sessionStorage.setItem(`livetally:${name}`, JSON.stringify(value));
  } catch {
    // Full or forbidden.
  }
}

export function forget(name) {
  try {
    sessionStorage.removeItem(`livetally:${name}`);
  } catch {
    // Forbidden.
  }
}
