// Where the pages' scripts begin. Every page works without them; they make it live.

import { startCharts } from "./charts.js";
import { startEvents } from "./events.js";
import { startForms } from "./forms.js";
import { startKeys } from "./keys.js";
import { startLive } from "./live.js";
import { hearClock, startTimes } from "./times.js";

hearClock(document.querySelector("main"));
startTimes();
startKeys();
startForms();
startLive();
startCharts();
startEvents();
window.addEventListener("popstate", () => location.reload());
