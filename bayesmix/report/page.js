"use strict";
// What the page can do beyond standing still: tables that sort, and rows that answer the pointer.

const MINUS = /\u2212/g;

function sortable(cell) {
  const text = cell.textContent.trim().replace(MINUS, "-").replace(/(\d),(?=\d{3})/g, "$1");
  return {text, number: text === "chosen" ? 0 : Number.parseFloat(text)};
}

function compared(a, b) {
  const [left, right] = [Number.isNaN(a.number), Number.isNaN(b.number)];
  if (left && right) return a.text.localeCompare(b.text);
  return left - right || a.number - b.number;
}

function sortBy(table, heads, place) {
  const down = heads[place].ariaSort === "ascending";
  heads.forEach((head) => head.removeAttribute("aria-sort"));
  heads[place].ariaSort = down ? "descending" : "ascending";
  const body = table.tBodies[0];
  const keyed = [...body.rows].map((row) => ({row, key: sortable(row.cells[place])}));
  keyed.sort((a, b) => (down ? compared(b.key, a.key) : compared(a.key, b.key)));
  body.append(...keyed.map(({row}) => row));
}

for (const table of document.querySelectorAll(".table table")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, place) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    button.addEventListener("click", () => sortBy(table, heads, place));
    head.replaceChildren(button);
  });
}

// ---- The rows -----------------------------------------------------------------------------------

const SVG = document.createRange().createContextualFragment("<svg></svg>").firstChild.namespaceURI;
const EDGE = {left: 52, right: 12, top: 12, bottom: 44};
const NEAR = 16;  // pixels from a row at which the pointer has found it

// Outlines of the markers of the figures, within a circle of radius 1.
const corners = (n, turn) => Array.from({length: n}, (_, i) => {
  const angle = 2 * Math.PI * i / n + turn;
  return [Math.cos(angle), Math.sin(angle)];
});
const PLUS = [[-.35, -1], [.35, -1], [.35, -.35], [1, -.35], [1, .35], [.35, .35], [.35, 1],
  [-.35, 1], [-.35, .35], [-1, .35], [-1, -.35], [-.35, -.35]];
const OUTLINES = {
  o: corners(14, 0), s: corners(4, Math.PI / 4), D: corners(4, 0), p: corners(5, -Math.PI / 2),
  "^": corners(3, -Math.PI / 2), v: corners(3, Math.PI / 2), "<": corners(3, Math.PI),
  ">": corners(3, 0), P: PLUS,
  x: [[-.8, -1], [0, -.2], [.8, -1], [1, -.8], [.2, 0], [1, .8], [.8, 1], [0, .2], [-.8, 1],
    [-1, .8], [-.2, 0], [-1, -.8]],
  X: PLUS.map(([x, y]) => [(x - y) * Math.SQRT1_2, (x + y) * Math.SQRT1_2]),
};

function outline(marker, x, y, size) {
  return "M" + OUTLINES[marker].map(([u, v]) => `${x + size * u},${y + size * v}`).join("L") + "Z";
}

function element(name, attributes, parent, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  parent.append(made);
  return made;
}

function ticks([low, high], about) {
  const rough = (high - low) / about;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough);
  const found = [];
  for (let at = Math.ceil(low / step); at * step <= high; at += 1) found.push(at * step);
  return found;
}

function shown(value) {
  return String(Number(value.toPrecision(5))).replace("-", "\u2212");
}

function shortened(name, width) {
  const most = Math.floor(width / 10);
  return name.length > most ? `${name.slice(0, most - 1)}\u2026` : name;
}

function extent(data, column) {
  const values = data.values.map((row) => row[column]).filter((value) => value !== null);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const margin = 0.06 * (high - low || Math.abs(high) || 1);
  return [low - margin, high + margin];
}

// The ellipse of so many standard deviations of component k: the circle, by the Cholesky factor.
function ellipse(data, k, [i, j], deviations) {
  const of = data.covariances[k];
  const a = Math.sqrt(of[i][i]);
  const b = of[i][j] / a;
  const c = Math.sqrt(Math.max(of[j][j] - b * b, 0));
  return corners(60, 0).map(([u, v]) => [
    data.means[k][i] + deviations * a * u,
    data.means[k][j] + deviations * (b * u + c * v),
  ]);
}

function lookAtRows(section) {
  const data = JSON.parse(document.getElementById("rows-data").textContent);
  const [choice, legend, plane, tip] = ["choice", "legend", "plane", "tip"].map(
    (name) => section.querySelector("." + name));
  const seen = data.colours.map(() => true);
  const label = data.shares.map((shares) => shares.reduce((a, b) => (b[1] > a[1] ? b : a))[0]);
  let axes = data.shown;
  let places = [];  // [row, x, y] of what is drawn, in pixels
  let at = -1;

  function draw() {
    const width = plane.clientWidth;
    const height = Math.round(Math.min(Math.max(0.62 * width, 300), 460));
    const inner = [[EDGE.left, width - EDGE.right], [height - EDGE.bottom, EDGE.top]];
    const ranges = axes.map((column) => extent(data, column));
    const scale = (which, value) => {
      const [[low, high], [from, to]] = [ranges[which], inner[which]];
      return from + (value - low) / (high - low) * (to - from);
    };
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", `Rows over ${data.columns[axes[0]]} and ${data.columns[axes[1]]}`);
    const clip = element("clipPath", {id: "inside"}, svg);
    element("rect", {x: inner[0][0], y: inner[1][1], width: inner[0][1] - inner[0][0],
      height: inner[1][0] - inner[1][1]}, clip);
    for (const value of ticks(ranges[0], width / 90)) {
      const x = scale(0, value);
      element("line", {x1: x, x2: x, y1: inner[1][0], y2: inner[1][0] + 4, class: "axis"}, svg);
      element("text", {x, y: inner[1][0] + 17, "text-anchor": "middle"}, svg, shown(value));
    }
    for (const value of ticks(ranges[1], height / 60)) {
      const y = scale(1, value);
      element("line", {x1: inner[0][0] - 4, x2: inner[0][0], y1: y, y2: y, class: "axis"}, svg);
      element("text", {x: inner[0][0] - 8, y: y + 4, "text-anchor": "end"}, svg, shown(value));
    }
    element("path", {class: "axis",
      d: `M${inner[0][0]},${inner[1][1]}V${inner[1][0]}H${inner[0][1]}`}, svg);
    element("text", {x: inner[0][1], y: height - 8, "text-anchor": "end"}, svg,
      shortened(data.columns[axes[0]], width));
    element("text", {x: inner[0][0] + 8, y: inner[1][1] + 4}, svg,
      shortened(data.columns[axes[1]], width));
    const inside = element("g", {"clip-path": "url(#inside)"}, svg);
    data.colours.forEach((colour, k) => {
      if (!seen[k] || k >= data.means.length) return;
      for (const deviations of [1, 2]) {
        const line = ellipse(data, k, axes, deviations)
          .map(([x, y]) => `${scale(0, x)},${scale(1, y)}`);
        element("path", {d: `M${line.join("L")}Z`, fill: "none", stroke: colour,
          "stroke-width": deviations === 1 ? 1.4 : 0.8}, inside);
      }
    });
    places = [];
    data.values.forEach((row, n) => {
      const [x, y] = axes.map((column) => row[column]);
      if (x === null || y === null || !seen[label[n]]) return;
      const [left, top] = [scale(0, x), scale(1, y)];
      places.push([n, left, top]);
      element("path", {d: outline(data.markers[label[n]], left, top, 3.6),
        fill: data.colours[label[n]], "fill-opacity": 0.75}, inside);
    });
    element("path", {class: "found", d: "", fill: "none"}, svg);
    plane.querySelector("svg")?.remove();
    plane.prepend(svg);
    show(-1);
  }

  function show(place) {
    at = place;
    const ring = plane.querySelector(".found");
    tip.hidden = at < 0;
    if (at < 0) {
      ring.setAttribute("d", "");
      return;
    }
    const [n, x, y] = places[at];
    ring.setAttribute("d", outline("o", x, y, 7));
    const name = document.createElement("b");
    name.textContent = `row ${data.rows[n]}`;
    const values = data.columns.map((column, place) => {
      const value = data.values[n][place];
      return `${column}: ${value === null ? "missing" : shown(value)}`;
    });
    const shares = [...data.shares[n]].sort((a, b) => b[1] - a[1])
      .map(([k, share]) => `${k < data.means.length ? "component " : ""}${data.names[k]}: ${share} %`);
    const lines = [...shares, ...values].map((text, place) => {
      const line = document.createElement("span");
      line.textContent = text;
      if (place < shares.length) line.className = "share";
      return line;
    });
    tip.replaceChildren(name, ...lines);
    const [wide, high] = [tip.offsetWidth, tip.offsetHeight];
    const left = x + 14 + wide > plane.clientWidth ? x - wide - 14 : x + 14;
    tip.style.left = `${Math.max(left, 0)}px`;
    tip.style.top = `${Math.max(Math.min(y - high / 2, plane.clientHeight - high), 0)}px`;
  }

  function nearest(event) {
    const box = plane.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    let [best, least] = [-1, NEAR * NEAR];
    places.forEach(([, left, top], place) => {
      const distance = (left - x) ** 2 + (top - y) ** 2;
      if (distance < least) [best, least] = [place, distance];
    });
    show(best);
  }

  ["across", "up"].forEach((name, which) => {
    const field = document.createElement("label");
    const select = document.createElement("select");
    data.columns.forEach((column, place) => select.add(new Option(column, place)));
    select.value = axes[which];
    select.addEventListener("change", () => {
      const other = axes[1 - which];
      const chosen = Number(select.value);
      const next = chosen === other ? axes[which] : other;
      axes = which === 0 ? [chosen, next] : [next, chosen];
      choice.querySelectorAll("select").forEach((each, place) => { each.value = axes[place]; });
      draw();
    });
    field.append(`${name} `, select);
    choice.append(field);
  });
  data.colours.forEach((colour, k) => {
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-pressed", "true");
    const mark = document.createElementNS(SVG, "svg");
    mark.setAttribute("viewBox", "-1.1 -1.1 2.2 2.2");
    mark.setAttribute("aria-hidden", "true");
    element("path", {d: outline(data.markers[k], 0, 0, 1), fill: colour}, mark);
    button.append(mark, `${k < data.means.length ? "component " : ""}${data.names[k]}: ${data.weights[k]}`);
    button.addEventListener("click", () => {
      seen[k] = !seen[k];
      button.setAttribute("aria-pressed", String(seen[k]));
      draw();
    });
    legend.append(button);
  });
  plane.addEventListener("pointermove", nearest);
  plane.addEventListener("pointerdown", nearest);
  plane.addEventListener("pointerleave", () => show(-1));
  plane.addEventListener("keydown", (event) => {
    const step = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1}[event.key];
    if (event.key === "Escape") show(-1);
    if (!step || !places.length) return;
    event.preventDefault();
    show((at + step + places.length) % places.length);
  });
  section.hidden = false;
  let drawn = 0;
  new ResizeObserver(() => {
    if (plane.clientWidth === drawn) return;
    drawn = plane.clientWidth;
    draw();
  }).observe(plane);
}

const section = document.getElementById("rows");
if (section) lookAtRows(section);
