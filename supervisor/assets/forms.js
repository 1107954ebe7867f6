// Forms: filters apply while one types, controls stay on the page.

import { fail, load, recovered, say } from "./page.js";
import { pauseLive } from "./live.js";

const PATIENCE = 250;
let waiting = 0;
let previewing = 0;
// Controls under way: what overtook one would drop the server's word on it.
let acting = 0;

export function startForms() {
  document.addEventListener("input", (event) => {
    const form = event.target.form;
    if (form?.matches("[data-filter]")) later(form);
    if (form?.matches("[data-preview]")) laterPreview(form);
    if (event.target.matches("[data-all]")) tickAll(event.target);
    if (event.target.matches("[data-row]")) countTicked();
  });
  document.addEventListener("submit", submit);
  document.addEventListener("renewed", countTicked);
  document.addEventListener("toggle", (event) => event.target.matches?.("details.ask") && opened(event.target), true);
  document.addEventListener("click", (event) => {
    for (const open of document.querySelectorAll("details.ask[open]")) {
      if (!open.contains(event.target)) open.open = false;
    }
  });
  countTicked();
}

function opened(details) {
  if (!details.open) return;
  for (const other of document.querySelectorAll("details.ask[open]")) if (other !== details) other.open = false;
  details.querySelector("input:not([type=hidden]), textarea, select, button")?.focus();
}

function later(form) {
  clearTimeout(waiting);
  waiting = setTimeout(() => (acting ? later(form) : filter(form)), PATIENCE);
}

// Empty fields are left out, so that the address says only what was chosen.
function address(form) {
  const url = new URL(form.getAttribute("action") || location.pathname, location.href);
  for (const [name, value] of new FormData(form)) {
    if (typeof value === "string" && value.trim() !== "") url.searchParams.append(name, value);
  }
  return url;
}

async function filter(form) {
  clearTimeout(waiting);
  const url = address(form);
  try {
    await load(url);
    history.replaceState({ page: true }, "", url);
    recovered();
    const found = document.querySelector("[data-found]")?.dataset.found;
    if (found) say(found);
  } catch (error) {
    fail("The filter could not be applied", error);
  }
}

function laterPreview(form) {
  clearTimeout(previewing);
  previewing = setTimeout(() => (acting ? laterPreview(form) : preview(form)), PATIENCE);
}

async function preview(form) {
  // A control may have brought another page meanwhile.
  if (!form.isConnected) return;
  const body = new URLSearchParams(new FormData(form));
  body.set("action", "preview");
  try {
    await load(form.dataset.preview, { post: body });
    recovered();
  } catch (error) {
    fail("The preview could not be made", error);
  }
}

async function submit(event) {
  const form = event.target;
  const button = event.submitter;
  if (form.matches("[data-filter]")) {
    event.preventDefault();
    return acting ? later(form) : filter(form);
  }
  if (form.method !== "post") return;
  event.preventDefault();
  const body = new URLSearchParams(new FormData(form));
  if (button?.name) body.set(button.name, button.value);
  form.classList.add("busy-form");
  // What is sent needs no preview any more.
  clearTimeout(previewing);
  acting += 1;
  pauseLive(true);
  try {
    // Attributes: a field may be called `action`.
    const target = button?.getAttribute("formaction") ?? form.getAttribute("action") ?? location.href;
    const answer = await load(target, { post: body });
    if (answer?.redirected) history.pushState({ page: true }, "", answer.url);
    recovered();
    for (const open of document.querySelectorAll("details.ask[open]")) if (answer?.ok) open.open = false;
    for (const tick of document.querySelectorAll("input[data-row], input[data-all]")) tick.checked = false;
    countTicked();
    const note = document.querySelector("main .note");
    if (note) {
      say(note.textContent.trim());
      note.scrollIntoView({ block: "nearest" });
    }
    (document.querySelector("[aria-invalid=true]") ?? document.querySelector("main"))?.focus({ preventScroll: !document.querySelector("[aria-invalid=true]") });
  } catch (error) {
    fail("The request failed", error);
  } finally {
    form.classList.remove("busy-form");
    acting -= 1;
    pauseLive(acting > 0);
  }
}

function tickAll(all) {
  for (const tick of document.querySelectorAll("input[data-row]")) tick.checked = all.checked;
  countTicked();
}

function countTicked() {
  const ticks = [...document.querySelectorAll("input[data-row]")];
  const chosen = ticks.filter((tick) => tick.checked).length;
  const all = document.querySelector("input[data-all]");
  if (all) {
    all.checked = chosen > 0 && chosen === ticks.length;
    all.indeterminate = chosen > 0 && chosen < ticks.length;
  }
  for (const place of document.querySelectorAll("[data-ticked]")) {
    place.textContent = chosen === 0 ? "none ticked" : `${chosen} ticked`;
  }
}
