// Renews the page in place every three seconds while somebody looks at it. Without this
// script a meta refresh does.
"use strict";

const PERIOD = 3000;

async function renew() {
  if (document.hidden) return;
  const status = document.getElementById("status");
  try {
    const answer = await fetch("/", { headers: { accept: "text/html" } });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const next = fresh.getElementById("status");
    // Spoken by screen readers, so only when it changed.
    if (status.textContent !== next.textContent) status.textContent = next.textContent;
    status.className = next.className;
    swap(document.getElementById("live"), fresh.getElementById("live"));
  } catch {
    status.textContent = "supervisor out of reach";
    status.className = "pill bad";
  }
}

// Keeps what the reader is doing: a selection, the focus, how far a table is scrolled.
function swap(old, next) {
  const selection = getSelection();
  if (selection && !selection.isCollapsed && old.contains(selection.anchorNode)) return;
  const focused = old.contains(document.activeElement) ? document.activeElement : null;
  const href = focused?.getAttribute("href");
  const label = focused?.getAttribute("aria-labelledby");
  const scrolled = [...old.querySelectorAll(".scroll")].map((table) => [
    table.getAttribute("aria-labelledby"),
    table.scrollLeft,
  ]);
  old.replaceChildren(...next.childNodes);
  for (const [id, left] of scrolled) {
    const table = old.querySelector(`.scroll[aria-labelledby="${id}"]`);
    if (table) table.scrollLeft = left;
  }
  if (href) {
    const again = [...old.querySelectorAll("a")].find((a) => a.getAttribute("href") === href);
    again?.focus({ preventScroll: true });
  } else if (label) {
    old.querySelector(`.scroll[aria-labelledby="${label}"]`)?.focus({ preventScroll: true });
  }
}

setInterval(renew, PERIOD);
document.addEventListener("visibilitychange", renew);
