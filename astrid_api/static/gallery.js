// The gallery: a triplet for each judged detection, drawn as it comes into sight.

import { Problem, element } from "./api.js";
import { Triplet, fetchCutout } from "./triplet.js";

async function draw(place) {
  const triplet = new Triplet(place);
  triplet.view = { ...triplet.view, zoom: 1.5, cross: false };
  try {
    triplet.show(await fetchCutout(place.dataset.detection));
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    place.append(element("p", { role: "alert" }, problem.message));
  }
}

const seen = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    seen.unobserve(target);
    draw(target);
  }
}, { rootMargin: "300px" });

for (const place of document.querySelectorAll("[data-cutout]:not([data-cutout=''])")) seen.observe(place);
