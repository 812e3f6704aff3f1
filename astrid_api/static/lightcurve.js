// A light curve as SVG: flux of each epoch with its error; open triangles are 3σ limits.

import { number } from "./api.js";

const SPACE = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [520, 195, 62, 10, 24, 30];
const COLOURS = ["#86c5ff", "#ffb86b", "#b6e388", "#e59bff", "#ff8f8f", "#8ff0e0"];
const LIMIT_SIGMA = 3;

function draw(parent, name, attributes, text) {
  const made = document.createElementNS(SPACE, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  parent.append(made);
  return made;
}

/** Light curve as an element; `now` (ISO time) is marked. Null where no epoch has a time. */
export function lightCurve(points, now) {
  const dated = points
    .filter((point) => point.observation_time !== null)
    .map((point) => ({ ...point, time: Date.parse(point.observation_time) }));
  if (dated.length === 0) return null;
  const seen = (p) => p.kind === "total" || Math.abs(p.snr) >= LIMIT_SIGMA;
  const top = (p) => (seen(p) ? p.flux + p.flux_err : Math.max(p.flux, 0) + LIMIT_SIGMA * p.flux_err);
  const times = dated.map((point) => point.time);
  const x = scale(Math.min(...times), Math.max(...times), LEFT + 8, WIDTH - RIGHT - 8);
  const y = scale(
    Math.min(0, ...dated.map((p) => p.flux - p.flux_err)),
    Math.max(0, ...dated.map(top)),
    HEIGHT - BOTTOM,
    TOP,
  );
  const bands = [...new Set(dated.map((p) => p.filter_band))].sort();
  const { kind, unit } = dated[0];
  const what = `${kind === "total" ? "flux" : "flux, difference"}, ${unit === "uJy" ? "µJy" : unit}`;
  const svg = document.createElementNS(SPACE, "svg");
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `Light curve of ${dated.length} epochs, ${what}`);
  axes(svg, x, y, what);
  if (now) {
    const at = x(Date.parse(now));
    draw(svg, "line", { class: "now", x1: at, x2: at, y1: TOP, y2: HEIGHT - BOTTOM });
  }
  for (const point of dated) mark(svg, point, x, y, COLOURS[bands.indexOf(point.filter_band) % COLOURS.length], seen(point));
  bands.forEach((band, i) => {
    const text = draw(svg, "text", { x: WIDTH - RIGHT - 26 * (bands.length - i), y: 11 }, band);
    text.style.fill = COLOURS[i % COLOURS.length];
  });
  return svg;
}

function scale(low, high, from, to) {
  const span = high - low;
  // A single epoch stands in the middle.
  const scaled = (value) => (span > 0 ? from + ((value - low) / span) * (to - from) : (from + to) / 2);
  return Object.assign(scaled, { low, high });
}

function axes(svg, x, y, what) {
  const floor = HEIGHT - BOTTOM;
  draw(svg, "path", { class: "axis", fill: "none", d: `M${LEFT},${TOP} V${floor} H${WIDTH - RIGHT}` });
  draw(svg, "line", { class: "zero", x1: LEFT, x2: WIDTH - RIGHT, y1: y(0), y2: y(0) });
  for (const value of new Set([y.low, 0, y.high])) {
    draw(svg, "text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, number(value));
  }
  for (const [time, anchor] of new Map([[x.low, "start"], [x.high, "end"]])) {
    const day = new Date(time).toISOString().slice(0, 10);
    draw(svg, "text", { x: x(time), y: floor + 16, "text-anchor": anchor }, day);
  }
  draw(svg, "text", { x: LEFT, y: 11 }, what);
}

function mark(svg, point, x, y, colour, seen) {
  const [cx, cy] = [x(point.time), y(point.flux)];
  const label = `${point.observation_time}, ${point.filter_band}: ${number(point.flux)} ± ${number(point.flux_err)}`;
  if (seen) {
    const [low, high] = [y(point.flux - point.flux_err), y(point.flux + point.flux_err)];
    draw(svg, "line", { x1: cx, x2: cx, y1: low, y2: high, stroke: colour });
    draw(draw(svg, "circle", { cx, cy, r: 3, fill: colour }), "title", {}, label);
  } else {
    const limit = y(Math.max(point.flux, 0) + LIMIT_SIGMA * point.flux_err);
    const triangle = `M${cx - 4},${limit - 3} h8 l-4,7 z`;
    draw(draw(svg, "path", { d: triangle, fill: "none", stroke: colour }), "title", {}, `below ${label}`);
  }
}
