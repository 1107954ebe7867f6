// The page of live events: one line for each change, the newest first, bounded.

import { atClock } from "./times.js";

const MOST = 500;

export function startEvents() {
  const list = document.getElementById("events");
  if (!list) return;
  const [pause, filter, kind, state] = ["pause", "events-text", "events-kind", "events-state"].map((id) => document.getElementById(id));
  let source = null;
  let held = false;
  let waiting = [];
  let lost = 0;

  const takes = (row) =>
    (!kind.value || row.dataset.kind === kind.value) &&
    row.textContent.toLowerCase().includes(filter.value.trim().toLowerCase());

  const tell = () => {
    const stands = held ? `paused, ${waiting.length}${lost ? "+" : ""} waiting` : source?.readyState === 1 ? "live" : "connecting";
    if (state.textContent !== stands) state.textContent = stands;
    pause.textContent = held ? "Go on" : "Pause";
    pause.setAttribute("aria-pressed", String(held));
  };

  const show = () => {
    const rows = waiting.splice(0).reverse().map(line);
    lost = 0;
    for (const row of rows) row.hidden = !takes(row);
    list.prepend(...rows);
    while (list.rows.length > MOST) list.lastElementChild.remove();
    document.getElementById("events-empty").hidden = list.rows.length > 0;
  };

  const hear = (name) => (event) => {
    let data = {};
    try {
      data = JSON.parse(event.data);
    } catch {
      data = { detail: event.data };
    }
    waiting.push({ name, data, at: new Date() });
    if (waiting.length > MOST) {
      waiting.shift();
      lost += 1;
    }
  };

  const connect = () => {
    source?.close();
    source = new EventSource("/api/v1/events?types=task,node,queue,schedule,letter,audit");
    for (const name of ["task", "node", "queue", "schedule", "letter", "audit"]) source.addEventListener(name, hear(name));
    source.onopen = tell;
    source.onerror = tell;
  };

  pause.addEventListener("click", () => {
    held = !held;
    if (!held) show();
    tell();
  });
  const again = () => {
    for (const row of list.rows) row.hidden = !takes(row);
  };
  filter.addEventListener("input", again);
  kind.addEventListener("change", again);
  setInterval(() => {
    if (!held && waiting.length > 0 && !document.hidden) show();
    tell();
  }, 500);
  connect();
}

const PATHS = { task: ["/tasks/", "id"], node: ["/nodes/", "name"], schedule: ["/schedules/", "name"], letter: ["/dead-letters/", "id"] };
const TONES = { SUCCESS: "good", FAILURE: "bad", REVOKED: "warn", REJECTED: "bad", RETRY: "warn", STARTED: "busy", online: "good", lost: "bad", suspect: "warn", draining: "warn" };

function line({ name, data, at }) {
  const row = document.createElement("tr");
  row.dataset.kind = name;
  const cell = (label, ...content) => {
    const td = document.createElement("td");
    td.dataset.label = label;
    td.append(...content.filter((part) => part !== null && part !== undefined));
    row.append(td);
    return td;
  };
  const make = (tag, className, text) => Object.assign(document.createElement(tag), { className, textContent: text });
  cell("At", atClock(at)).className = "tight";
  cell("Kind", name).className = "tight";
  const state = data.state ?? data.change ?? data.action ?? "";
  cell("State", state ? make("span", `pill ${TONES[state] ?? ""}`, state) : "").className = "tight";
  const [base, key] = PATHS[name] ?? [null, "name"];
  const what = String(data.name ?? data[key] ?? data.target ?? data.id ?? "");
  let subject = document.createTextNode(what);
  if (base && data[key] !== undefined) {
    subject = make("a", "", what);
    subject.href = base + encodeURIComponent(data[key]);
  }
  cell("What", subject);
  const rest = Object.entries(data)
    .filter(([field, value]) => !["name", "state", "kind", "type"].includes(field) && value !== null && value !== "")
    .map(([field, value]) => `${field} ${typeof value === "object" ? JSON.stringify(value) : value}`);
  cell("Detail", make("span", "cut mono soft", rest.join(" · ")));
  return row;
}
