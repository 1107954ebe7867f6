// Times in the viewer's own words: how long ago, with the exact moment in the title, in
// the viewer's zone or in UTC.

import { recall, remember } from "./memory.js";

const parts = { year: "numeric", month: "short", day: "numeric" };
const clock = { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false };
const STEPS = [[90, 1, "s"], [5400, 60, "min"], [129600, 3600, "h"], [Infinity, 86400, "d"]];

export const isUtc = () => recall("zone") === "utc";
const zone = () => (isUtc() ? "UTC" : undefined);

export function exact(date) {
  const text = date.toLocaleString(undefined, { ...parts, ...clock, timeZone: zone(), timeZoneName: "short" });
  return text;
}

export function atClock(date) {
  return date.toLocaleTimeString(undefined, { ...clock, timeZone: zone() });
}

const milliseconds = (date) => `.${String(date.getMilliseconds()).padStart(3, "0")}`;

export function relative(date, now) {
  const seconds = (now - date) / 1000;
  const away = Math.abs(seconds);
  if (away < 1) return "now";
  const [, unit, name] = STEPS.find(([below]) => away < below);
  const text = `${Math.floor(away / unit)} ${name}`;
  return seconds > 0 ? `${text} ago` : `in ${text}`;
}

// Pages are timed by the server's clock: the viewer's may be wrong.
let ahead = 0;
export const now = () => Date.now() - ahead;

export function renewTimes(root = document) {
  const at = now();
  for (const time of root.querySelectorAll("time[datetime]")) {
    const date = new Date(time.dateTime);
    if (Number.isNaN(date.valueOf())) continue;
    const text = time.dataset.show === "clock" ? atClock(date) + milliseconds(date)
      : time.dataset.show === "exact" ? exact(date)
      : relative(date, at);
    if (time.textContent !== text) time.textContent = text;
    const title = exact(date);
    if (time.title !== title) time.title = title;
  }
}

export function hearClock(main) {
  const server = Date.parse(main.dataset.now);
  if (!Number.isNaN(server)) ahead = Date.now() - server;
}

export function startTimes() {
  const choice = document.getElementById("zone");
  const show = () => {
    if (choice) {
      choice.textContent = isUtc() ? "UTC" : "Local time";
      choice.setAttribute("aria-label", `Times in ${isUtc() ? "UTC" : "your zone"}; change`);
    }
    renewTimes();
  };
  choice?.addEventListener("click", () => {
    remember("zone", isUtc() ? "" : "utc");
    show();
    document.dispatchEvent(new Event("zone"));
  });
  show();
  setInterval(() => document.hidden || renewTimes(), 1000);
}
