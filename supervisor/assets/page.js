// Fetches pages and puts them into place. A page is always rendered whole by the server,
// so what works with scripts works without: a live update, a filter and a control are
// the same address, the same link and the same form.

import { morph } from "./morph.js";
import { hearClock, renewTimes } from "./times.js";

const headers = { Accept: "text/html", "X-Requested-With": "celeriac" };
let turn = 0;

const main = () => document.querySelector("main");

/// Fetches `url` and takes its page over. An answer that a later request overtook is dropped.
export async function load(url, { held = false, again = false, post = null } = {}) {
  const mine = ++turn;
  const options = { headers: { ...headers }, credentials: "same-origin" };
  if (post) {
    options.method = "POST";
    options.body = post;
  }
  const answer = await fetch(url, options);
  if (answer.status === 401) return location.reload();
  const text = await answer.text();
  if (mine !== turn) return null;
  const fresh = new DOMParser().parseFromString(text, "text/html");
  if (!fresh.querySelector("main")) throw new Error(`status ${answer.status}`);
  if (again) keepNote(main(), fresh.querySelector("main"));
  take(fresh, held);
  return answer;
}

function take(fresh, held) {
  const [old, next] = [main(), fresh.querySelector("main")];
  document.title = fresh.title;
  if (held) holdRows(old, next);
  else freshRows(old, next);
  keepFields(old, next);
  morph(old, next);
  for (const part of document.querySelectorAll("[data-also]")) {
    const other = fresh.getElementById(part.id);
    if (other) morph(part, other);
  }
  hearClock(old);
  renewTimes();
  document.dispatchEvent(new Event("renewed"));
}

// The server says what a control did once; it stays until somebody does something else.
function keepNote(old, next) {
  const note = old.querySelector("#note");
  if (note && !next.querySelector("#note")) next.prepend(note.cloneNode(true));
}

// What somebody typed or ticked stays.
function keepFields(old, next) {
  for (const field of old.querySelectorAll("input, select, textarea")) {
    if (!field.id) continue;
    const other = next.querySelector(`#${CSS.escape(field.id)}`);
    if (!other || other.hasAttribute("data-renew")) continue;
    if (field.type === "checkbox" || field.type === "radio") {
      // The attribute says what the page came with, the property what was done since.
      other.toggleAttribute("checked", field.defaultChecked);
    } else if (field === document.activeElement || changed(field)) {
      if (field.tagName === "TEXTAREA") other.textContent = field.defaultValue;
      else if (field.tagName === "INPUT") other.setAttribute("value", field.defaultValue);
    }
  }
}

function changed(field) {
  return "defaultValue" in field && field.value !== field.defaultValue;
}

// While somebody reads a list, its rows stay where they are: known rows change in place,
// and a button says how many came.
function holdRows(old, next) {
  const [table, fresh] = [old.querySelector("tbody[data-live]"), next.querySelector("tbody[data-live]")];
  if (!table || !fresh) return;
  const known = new Map([...fresh.rows].map((row) => [row.id, row]));
  const came = [...fresh.rows].filter((row) => !document.getElementById(row.id)).length;
  const all = fresh.rows.length;
  const rows = [...table.rows].map((row) => known.get(row.id) ?? row.cloneNode(true));
  fresh.replaceChildren(...rows);
  const arrivals = next.querySelector(".arrivals");
  if (arrivals && came > 0) {
    arrivals.hidden = false;
    arrivals.querySelector("button").textContent = came >= all ? "New tasks: show them" : `${came} new: show`;
  }
}

function freshRows(old, next) {
  const table = old.querySelector("tbody[data-live]");
  if (!table || table.dataset.live !== next.querySelector("tbody[data-live]")?.dataset.live) return;
  const known = new Set([...table.rows].map((row) => row.id));
  if (known.size === 0) return;
  for (const row of next.querySelectorAll("tbody[data-live] tr")) {
    if (!known.has(row.id)) row.classList.add("fresh");
  }
}

/// Says something where screen readers hear it.
export function say(text) {
  const place = document.getElementById("said");
  if (place && place.textContent !== text) place.textContent = text;
}

/// Tells that a request failed, in the page and aloud.
export function fail(what, error) {
  const place = document.getElementById("trouble");
  place.querySelector("p").textContent = `${what}: ${error.message || error}`;
  place.hidden = false;
}

export function recovered() {
  const place = document.getElementById("trouble");
  if (!place.hidden) place.hidden = true;
}
