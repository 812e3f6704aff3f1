// A cutout as pictures: science | reference | difference.
//
// One picture element per pixel of the cutout, so that what is shown can be checked against
// what the API gives; the browser makes it larger, without smoothing. Row 0 of the data is
// the lowest row of the picture.

import { ask, number } from "./api.js";

/** Grey level from 0 to 1 of a pixel between its limits, from 0 to 1. */
export const STRETCHES = {
  asinh: (t) => Math.asinh(10 * t) / Math.asinh(10),
  linear: (t) => t,
  log: (t) => Math.log1p(1000 * t) / Math.log1p(1000),
};

const ZOOMS = [1, 1.5, 2, 3, 4, 6];
const BLINK_MS = 500; // two changes a second: below what harms anybody
const WHITE = [246, 246, 244];
const WARM = [178, 24, 43];
const COLD = [33, 102, 172];
const LEAST = 1e-30;
const VIEW = "astrid.view";

/** The cutout of a detection with what is needed to draw it. */
export async function fetchCutout(detectionId) {
  const answer = await ask("GET", `/detections/${detectionId}/cutout?format=float32`);
  const header = (name) => answer.headers.get(`X-Cutout-${name}`);
  const [, rows, columns] = header("Shape").split(",").map(Number);
  const [low, high, brightest, full] = header("Limits").split(",").map(Number);
  const data = new Float32Array(await answer.arrayBuffer());
  const planes = {};
  header("Planes").split(",").forEach((name, i) => {
    planes[name] = data.subarray(i * rows * columns, (i + 1) * rows * columns);
  });
  return { sha256: header("SHA256"), side: rows, planes, low, high, brightest, full };
}

/** Levels of a grey picture: black below `low`, white above `high`. */
export function greyPixels(plane, low, high, stretch, inverted) {
  const pixels = new Uint8ClampedArray(4 * plane.length);
  const span = Math.max(high - low, LEAST);
  plane.forEach((value, i) => {
    if (!Number.isFinite(value)) return; // transparent
    const t = Math.min(Math.max((value - low) / span, 0), 1);
    const level = Math.round(255 * STRETCHES[stretch](t));
    pixels.set(Array(3).fill(inverted ? 255 - level : level), 4 * i);
    pixels[4 * i + 3] = 255;
  });
  return pixels;
}

/** Levels of a signed picture: blue below zero, white at it, red above; full at `full`. */
export function signedPixels(plane, full) {
  const pixels = new Uint8ClampedArray(4 * plane.length);
  plane.forEach((value, i) => {
    if (!Number.isFinite(value)) return;
    const t = Math.min(Math.max(value / full, -1), 1);
    const end = t >= 0 ? WARM : COLD;
    WHITE.forEach((white, c) => {
      pixels[4 * i + c] = Math.trunc(white + Math.abs(t) * (end[c] - white));
    });
    pixels[4 * i + 3] = 255;
  });
  return pixels;
}

/** Put the middle of a square picture on a canvas, upside up. */
function paint(canvas, pixels, side, zoom) {
  const half = Math.floor((side / zoom - 1) / 2);
  const width = 2 * half + 1;
  const first = Math.floor(side / 2) - half;
  const shown = new ImageData(width, width);
  for (let row = 0; row < width; row += 1) {
    const from = 4 * ((first + width - 1 - row) * side + first);
    shown.data.set(pixels.subarray(from, from + 4 * width), 4 * row * width);
  }
  canvas.width = width;
  canvas.height = width;
  canvas.getContext("2d").putImageData(shown, 0, 0);
}

/** The three pictures of a page, and how they are looked at. */
export class Triplet {
  constructor(root) {
    this.root = root;
    this.cutout = null;
    this.blinking = null;
    this.view = { stretch: "asinh", inverted: false, zoom: 1, cross: true };
    Object.assign(this.view, JSON.parse(localStorage.getItem(VIEW) ?? "{}"));
    this.draw();
  }

  show(cutout) {
    this.cutout = cutout;
    this.draw();
  }

  nextStretch() {
    const names = Object.keys(STRETCHES);
    this.change({ stretch: names[(names.indexOf(this.view.stretch) + 1) % names.length] });
  }

  zoom(steps) {
    const at = ZOOMS.indexOf(this.view.zoom) + steps;
    this.change({ zoom: ZOOMS[Math.min(Math.max(at, 0), ZOOMS.length - 1)] });
  }

  /** Change how things are looked at; kept for the next visit. */
  change(view) {
    Object.assign(this.view, view);
    localStorage.setItem(VIEW, JSON.stringify(this.view));
    this.draw();
  }

  /** Let the first picture change between science and reference, or stop. */
  blink() {
    if (this.blinking) {
      clearInterval(this.blinking);
      this.blinking = null;
      this.second = false;
    } else {
      this.blinking = setInterval(() => {
        this.second = !this.second;
        this.draw();
      }, BLINK_MS);
    }
    this.draw();
  }

  draw() {
    for (const frame of this.root.querySelectorAll(".pixels")) {
      frame.classList.toggle("cross", this.view.cross);
    }
    if (!this.cutout) return;
    const { side, low, brightest, full } = this.cutout;
    const { stretch, inverted, zoom } = this.view;
    const high = stretch === "log" ? brightest : this.cutout.high; // log: all that there is
    for (const canvas of this.root.querySelectorAll("canvas")) {
      const place = canvas.dataset.plane;
      const name = place === "science" && this.second ? "reference" : place;
      const plane = this.cutout.planes[name];
      const pixels = place === "difference"
        ? signedPixels(plane, full)
        : greyPixels(plane, low, high, stretch, inverted);
      paint(canvas, pixels, side, zoom);
      const range = place === "difference" ? `±${number(full)}` : `${number(low)} to ${number(high)}`;
      canvas.setAttribute("aria-label", `${name}, ${range}`);
      this.label(place, name, range);
    }
  }

  label(place, name, range) {
    const named = this.root.querySelector(`[data-name="${place}"]`);
    if (named) named.textContent = place === "science" && this.blinking ? `⇄ ${name}` : name;
    const scale = this.root.querySelector(`[data-scale="${place}"]`);
    if (scale) scale.textContent = range;
  }
}
