// Runs before the page is painted, so that a chosen theme does not flash.
"use strict";
(() => {
  const root = document.documentElement;
  root.dataset.scripts = "";
  try {
    const theme = localStorage.getItem("celeriac.theme");
    if (theme) root.dataset.theme = theme;
  } catch {
    // Storage may be switched off: the system's theme is used.
  }
})();
