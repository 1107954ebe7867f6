// The keyboard: `?` lists the keys; links and forms need none of them.

import { recall, remember } from "./memory.js";

const PLACES = { o: "/", n: "/nodes", t: "/tasks", q: "/queues", s: "/schedules", d: "/dead-letters", e: "/events", a: "/audit" };
let going = 0;

export function startKeys() {
  document.addEventListener("keydown", key);
  const dialog = document.getElementById("keys");
  document.getElementById("show-keys")?.addEventListener("click", () => dialog.showModal());
  dialog?.querySelector("button")?.addEventListener("click", () => dialog.close());
  startTheme();
  document.addEventListener("click", copy);
}

function key(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const open = document.querySelector("details.ask[open]");
  if (event.key === "Escape" && open) {
    open.open = false;
    open.querySelector("summary").focus();
    return;
  }
  if (event.target.closest("input, select, textarea, dialog")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (performance.now() - going < 1200 && PLACES[event.key]) {
    location.assign(PLACES[event.key]);
    return;
  }
  going = 0;
  if (event.key === "?") document.getElementById("keys").showModal();
  else if (event.key === "g") going = performance.now();
  else if (event.key === "/") {
    const field = document.querySelector("[data-filter] input[type=search], [data-filter] input");
    if (!field) return;
    event.preventDefault();
    field.focus();
    field.select();
  } else if (event.key === "j" || event.key === "k") move(event.key === "j" ? 1 : -1);
  else if (event.key === "x") {
    const tick = event.target.closest("tr")?.querySelector("input[data-row]");
    tick?.click();
  } else if (event.key === "l") document.getElementById("pause")?.click();
}

function move(step) {
  const links = [...document.querySelectorAll("main tbody tr")].map((row) => row.querySelector("a")).filter(Boolean);
  const row = document.activeElement?.closest("main tbody tr");
  const at = row ? links.indexOf(row.querySelector("a")) : step > 0 ? -1 : links.length;
  links[Math.min(links.length - 1, Math.max(0, at + step))]?.focus();
}

function startTheme() {
  const button = document.getElementById("theme");
  const root = document.documentElement;
  const names = { "": "System theme", light: "Light", dark: "Dark" };
  const show = () => {
    const theme = recall("theme") ?? "";
    if (theme) root.dataset.theme = theme;
    else delete root.dataset.theme;
    if (button) button.textContent = names[theme] ?? names[""];
    document.dispatchEvent(new Event("theme"));
  };
  button?.addEventListener("click", () => {
    const next = { "": "light", light: "dark", dark: "" };
    remember("theme", next[recall("theme") ?? ""]);
    show();
  });
  show();
}

async function copy(event) {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const text = document.getElementById(button.dataset.copy)?.textContent ?? "";
  const before = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    // Without leave to write, the text is selected for the reader to copy.
    getSelection().selectAllChildren(document.getElementById(button.dataset.copy));
    button.textContent = "Selected";
  }
  setTimeout(() => (button.textContent = before), 1500);
}
