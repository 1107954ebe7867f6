// Charts of `/api/v1/series`, drawn by uPlot. Each `.chart` says what it shows; the
// figures beside it say the same for those who do not see it.

import { atClock, isUtc } from "./times.js";

const drawn = new Map();
const PERIOD = 5000;
let latest = null;

export function startCharts() {
  if (!document.querySelector(".chart[data-series]")) return;
  refresh();
  setInterval(() => document.hidden || refresh(), PERIOD);
  const again = () => {
    for (const chart of drawn.values()) chart.destroy();
    drawn.clear();
    if (latest) draw(latest);
  };
  for (const name of ["theme", "zone"]) document.addEventListener(name, again);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
  new ResizeObserver(() => {
    for (const [place, chart] of drawn) chart.setSize(size(place));
  }).observe(document.querySelector("main"));
}

async function refresh() {
  const range = document.querySelector("[data-range]")?.dataset.range ?? "10m";
  try {
    const answer = await fetch(`/api/v1/series?window=${range}`, { headers: { Accept: "application/json" } });
    if (!answer.ok) return;
    latest = await answer.json();
    draw(latest);
  } catch {
    // The page itself says when the supervisor is out of reach.
  }
}

// More points than this are averaged, so that a line and not a comb is drawn.
const POINTS = 150;

function averages(figures, few, scale) {
  const means = [];
  for (let at = 0; at < figures.length; at += few) {
    const known = figures.slice(at, at + few).filter((figure) => figure !== null);
    const sum = known.reduce((total, figure) => total + figure, 0);
    means.push(known.length === 0 ? null : (sum / known.length) * scale);
  }
  return means;
}

const size = (place) => ({ width: Math.max(120, place.clientWidth - 8), height: 168 });

function colour(name) {
  const probe = document.createElement("i");
  probe.className = name;
  probe.hidden = true;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

const units = {
  rate: (v) => (v == null ? "–" : `${v < 10 ? v.toFixed(2) : v.toFixed(0)}/s`),
  count: (v) => (v == null ? "–" : v >= 1e6 ? `${(v / 1e6).toFixed(1)}M` : v >= 1e4 ? `${(v / 1e3).toFixed(0)}k` : `${Math.round(v)}`),
  seconds: (v) => (v == null ? "–" : v < 1e-3 ? `${(v * 1e6).toFixed(0)} µs` : v < 1 ? `${(v * 1e3).toFixed(v < 0.01 ? 1 : 0)} ms` : v < 120 ? `${v.toFixed(1)} s` : `${(v / 60).toFixed(1)} min`),
};

// A figure without neighbours has no line: it would not be seen.
const sparse = (chart, line) => chart.data[line].filter((figure) => figure !== null).length < 40;

const hour = (at) => atClock(new Date(at * 1e3)).slice(0, 5);

function draw(answer) {
  for (const place of document.querySelectorAll(".chart[data-series]")) {
    const wanted = place.dataset.series.split(" ").map((word) => word.split(":"));
    const figures = (key) => key.split(".").reduce((part, name) => part?.[name], answer) ?? [];
    const scale = place.dataset.unit === "rate" ? 1 / answer.step_seconds : 1;
    const few = Math.max(1, Math.ceil(answer.times.length / POINTS));
    const times = answer.times.filter((_, at) => at % few === 0);
    const data = [times, ...wanted.map(([key]) => averages(figures(key), few, scale))];
    place.querySelector(".empty")?.remove();
    const known = drawn.get(place);
    if (known) {
      known.setData(data);
      continue;
    }
    drawn.set(place, new uPlot(options(place, wanted), data, place));
  }
}

function options(place, wanted) {
  const unit = units[place.dataset.unit] ?? units.count;
  const [soft, line] = [colour("soft"), getComputedStyle(document.querySelector(".card")).borderTopColor];
  const font = "11px system-ui, sans-serif";
  const axis = { stroke: soft, font, grid: { stroke: line, width: 1 }, ticks: { show: false } };
  return {
    ...size(place),
    tzDate: (at) => (isUtc() ? uPlot.tzDate(new Date(at * 1e3), "UTC") : new Date(at * 1e3)),
    legend: { live: true },
    cursor: { y: false, sync: { key: "overview" }, points: { size: 6 } },
    scales: { y: { range: (chart, low, high) => [0, high > 0 ? high * 1.12 : 1] } },
    axes: [
      { ...axis, size: 24, gap: 4, space: 70, values: (chart, ticks) => ticks.map(hour) },
      { ...axis, size: 52, gap: 4, values: (chart, ticks) => ticks.map(unit) },
    ],
    series: [
      { label: "at", value: (chart, at) => (at === null ? "–" : atClock(new Date(at * 1e3))) },
      ...wanted.map(([, label, kind]) => ({
        label: label.replaceAll("_", " "),
        stroke: colour(kind),
        width: 1.6,
        points: { size: 5, show: sparse },
        spanGaps: true,
        value: (chart, value) => unit(value),
      })),
    ],
  };
}
