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
// Back and forward load the page anew; a jump within it does not.
history.replaceState({ page: true }, "");
window.addEventListener("popstate", (event) => event.state?.page && location.reload());
