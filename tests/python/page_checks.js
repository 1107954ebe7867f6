// What a page must keep to, checked in the page itself; returns what is wrong with it.
(() => {
  const wrong = [];
  const shown = (at) => at.checkVisibility({ checkOpacity: false, checkVisibilityCSS: true });
  const say = (at, what) => wrong.push(`${what}: ${at.outerHTML.slice(0, 160)}`);
  const name = (at) => {
    const labelled = (at.getAttribute("aria-labelledby") ?? "").split(" ").filter(Boolean);
    const texts = labelled.map((id) => document.getElementById(id)?.textContent ?? "");
    const label = at.labels?.length ? [...at.labels].map((one) => one.textContent).join(" ") : "";
    return [at.getAttribute("aria-label"), ...texts, label, at.textContent, at.title].join("").trim();
  };

  for (const field of document.querySelectorAll("input:not([type=hidden]), select, textarea")) {
    const label = field.labels?.length ? [...field.labels].map((one) => one.textContent.trim()).join("") : "";
    if (!label && !field.getAttribute("aria-label")) say(field, "a field without a label");
  }
  for (const control of document.querySelectorAll("a[href], button, summary")) {
    if (!name(control)) say(control, "a control without a name");
  }
  const ids = new Map();
  for (const at of document.querySelectorAll("[id]")) {
    if (ids.has(at.id)) say(at, "an id that is there twice");
    ids.set(at.id, at);
  }
  for (const at of document.querySelectorAll("[aria-labelledby], [aria-describedby]")) {
    for (const attribute of ["aria-labelledby", "aria-describedby"]) {
      for (const id of (at.getAttribute(attribute) ?? "").split(" ").filter(Boolean)) {
        if (!ids.has(id)) say(at, `${attribute} leads nowhere`);
      }
    }
  }
  if (document.documentElement.lang === "") wrong.push("the page says no language");
  if (document.querySelectorAll("h1").length !== 1) wrong.push("expected one h1");
  for (const landmark of ["main", "header", "nav"]) {
    if (!document.querySelector(landmark)) wrong.push(`no ${landmark}`);
  }
  let level = 1;
  for (const head of document.querySelectorAll("main :is(h1, h2, h3, h4)")) {
    const next = Number(head.tagName[1]);
    if (next > level + 1) say(head, "a heading that skips a level");
    level = next;
  }
  for (const cell of document.querySelectorAll("main thead th")) {
    if (cell.closest(".uplot")) continue;
    if (cell.scope !== "col") say(cell, "a head without a scope");
  }
  for (const at of document.querySelectorAll("[style], [onclick], style")) {
    if (at.tagName === "STYLE" || at.hasAttribute("onclick")) say(at, "a style or script in the page");
  }

  // Contrast, of every text against what lies behind it.
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  canvas.canvas.width = canvas.canvas.height = 1;
  const colour = (text) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = text;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = ([r, g, b, a], [x, y, z]) => [r * a + x * (1 - a), g * a + y * (1 - a), b * a + z * (1 - a), 1];
  const behind = (at) => {
    const layers = [];
    for (let one = at; one; one = one.parentElement) {
      const ground = colour(getComputedStyle(one).backgroundColor);
      if (ground[3] > 0) layers.push(ground);
      if (ground[3] === 1) break;
    }
    return layers.reverse().reduce((under, layer) => over(layer, under), colour("white"));
  };
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((part) => {
      const share = part / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const seen = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const at = node.parentElement;
    if (!node.data.trim() || !shown(at) || at.closest("svg, canvas, .unseen, :disabled, [aria-disabled=true]")) continue;
    const style = getComputedStyle(at);
    const ground = behind(at);
    const ink = over(colour(style.color), ground);
    const [a, b] = [light(ink), light(ground)];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const large = parseFloat(style.fontSize) >= 24;
    const key = `${style.color} ${ground}`;
    if (ratio < (large ? 3 : 4.5) && !seen.has(key)) {
      seen.add(key);
      say(at, `contrast ${ratio.toFixed(2)} of ${style.color} on ${ground.map(Math.round)}`);
    }
  }
  const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  if (wide > 0) {
    const most = [...document.querySelectorAll("main *")].filter((at) => at.getBoundingClientRect().right > innerWidth + 1 && !at.closest(".scroll, .drawing, pre, .unseen"));
    wrong.push(`the page is ${wide} pixels too wide: ${most.slice(0, 3).map((at) => at.outerHTML.slice(0, 120)).join(" | ")}`);
  }
  return wrong;
})()
