// Makes one tree like another and touches only what differs, so that focus, selections,
// scroll places, open details and half-written fields stay.

// What the reader changed on an element and a fresh page knows nothing about.
const THEIRS = { DETAILS: ["open"], DIALOG: ["open"] };

export function morph(old, fresh) {
  attributes(old, fresh);
  if (old.hasAttribute("data-own")) return;
  children(old, fresh);
}

function attributes(old, fresh) {
  const theirs = THEIRS[old.tagName] ?? [];
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && !theirs.includes(name)) old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (theirs.includes(name)) continue;
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
}

function children(old, fresh) {
  const keyed = new Map();
  for (const child of old.children) if (child.id) keyed.set(child.id, child);
  let at = old.firstChild;
  for (const next of [...fresh.childNodes]) {
    const known = next.id ? keyed.get(next.id) : null;
    if (known) {
      if (known !== at) old.insertBefore(known, at);
      else at = at.nextSibling;
      morph(known, next);
      continue;
    }
    if (at && alike(at, next)) {
      const same = at;
      at = at.nextSibling;
      if (same.nodeType === Node.ELEMENT_NODE) morph(same, next);
      else if (same.data !== next.data) same.data = next.data;
      continue;
    }
    old.insertBefore(document.importNode(next, true), at);
  }
  while (at) {
    const gone = at;
    at = at.nextSibling;
    gone.remove();
  }
}

function alike(a, b) {
  if (a.nodeType !== b.nodeType || a.nodeName !== b.nodeName) return false;
  return !a.id && !b.id;
}
