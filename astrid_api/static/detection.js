// One detection: its pictures and its light curve.

import { Problem, element } from "./api.js";
import { fillFacts, title } from "./facts.js";
import { lightCurve } from "./lightcurve.js";
import { Triplet, fetchCutout } from "./triplet.js";
import { VIEW_ACTIONS, VIEW_KEYS, look, showView } from "./view.js";

const shown = JSON.parse(document.getElementById("detection").textContent);
const place = document.getElementById("item");
const triplet = new Triplet(place);

document.getElementById("what").textContent = title(shown);
fillFacts(document.getElementById("facts"), shown);
for (const action of Object.keys(VIEW_ACTIONS)) {
  document.querySelector(`[data-do="${action}"]`).addEventListener("click", () => look(triplet, action));
}
document.addEventListener("keydown", ({ key, ctrlKey, metaKey, altKey }) => {
  const action = VIEW_KEYS[key.toLowerCase()];
  if (action && !ctrlKey && !metaKey && !altKey) look(triplet, action);
});
showView(triplet);
const curve = lightCurve(shown.light_curve, shown.observation.observation_time);
document.getElementById("curve").replaceChildren(curve ?? element("p", { class: "muted" }, "No light curve."));
try {
  triplet.show(await fetchCutout(place.dataset.detection));
} catch (problem) {
  if (!(problem instanceof Problem)) throw problem;
  place.prepend(element("p", { role: "alert" }, problem.message));
}
