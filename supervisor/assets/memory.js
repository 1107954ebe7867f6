// What this browser remembers; nothing when its storage is switched off.

export function recall(name) {
  try {
    return localStorage.getItem(`celeriac.${name}`);
  } catch {
    return null;
  }
}

export function remember(name, value) {
  try {
    if (value) localStorage.setItem(`celeriac.${name}`, value);
    else localStorage.removeItem(`celeriac.${name}`);
  } catch {
    // The choice holds until the page is left.
  }
}
