// Live updates: the server says what changed, and the page renews itself at most twice a
// second, more seldom when its answers take long, and not at all while nobody looks.

import { fail, load, recovered, say } from "./page.js";

const PACE = 700;
const ANYWAY = 15_000;
const KINDS = ["task", "node", "queue", "schedule", "letter", "audit", "overview"];

let source = null;
let dirty = false;
let busy = false;
let last = 0;
let took = 0;
let paused = false;

const main = () => document.querySelector("main");
const wanted = () => (main().dataset.live ?? "").split(" ").filter(Boolean);

export function startLive() {
  if (wanted().length === 0) return;
  connect();
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) disconnect();
    else {
      connect();
      dirty = true;
      soon();
    }
  });
  // Figures age even when nothing happens.
  setInterval(() => {
    if (performance.now() - last > ANYWAY) {
      dirty = true;
      soon();
    }
  }, 1000);
  document.addEventListener("click", (event) => {
    if (event.target.closest(".arrivals button")) {
      window.scrollTo({ top: 0 });
      renew(false);
    }
  });
}

export function pauseLive(value) {
  paused = value;
  if (!value) soon();
}

function connect() {
  if (source || document.hidden) return;
  source = new EventSource(`/api/v1/events?types=${wanted().join(",")}`);
  const hear = () => {
    dirty = true;
    soon();
  };
  for (const kind of KINDS) if (wanted().includes(kind)) source.addEventListener(kind, hear);
}

function disconnect() {
  source?.close();
  source = null;
}

function soon() {
  if (!dirty || busy || paused || document.hidden) return;
  const pause = Math.max(PACE, took * 3) - (performance.now() - last);
  busy = true;
  setTimeout(() => renew(reading()), Math.max(0, pause));
}

// Somebody reads, chooses or writes: rows must not move under the pointer.
function reading() {
  const table = document.querySelector("tbody[data-live]");
  if (!table) return false;
  if (table.contains(document.activeElement)) return true;
  if (table.querySelector("input:checked")) return true;
  if (!getSelection().isCollapsed && table.contains(getSelection().anchorNode)) return true;
  return window.scrollY > table.getBoundingClientRect().top + window.scrollY;
}

export async function renew(held) {
  if (paused) {
    // Overtaken by it, the answer to a control would be dropped.
    busy = false;
    dirty = true;
    return;
  }
  dirty = false;
  busy = true;
  const start = performance.now();
  try {
    await load(location.href, { held, again: true });
    recovered();
  } catch (error) {
    if (!document.hidden) fail("The page could not be renewed; trying again", error);
  } finally {
    busy = false;
    last = performance.now();
    took = last - start;
    soon();
  }
}

export { say };
