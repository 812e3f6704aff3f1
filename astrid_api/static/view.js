// Buttons and keys that say how a triplet is looked at.

/** What each button does, by its `data-do`. */
export const VIEW_ACTIONS = {
  blink: (triplet) => triplet.blink(),
  stretch: (triplet) => triplet.nextStretch(),
  invert: (triplet) => triplet.change({ inverted: !triplet.view.inverted }),
  cross: (triplet) => triplet.change({ cross: !triplet.view.cross }),
  in: (triplet) => triplet.zoom(1),
  out: (triplet) => triplet.zoom(-1),
};

/** Which of them a key does. */
export const VIEW_KEYS = { b: "blink", s: "stretch", i: "invert", x: "cross", "+": "in", "=": "in", "-": "out" };

/** Do one of them, and have the buttons tell how things are. */
export function look(triplet, action) {
  VIEW_ACTIONS[action](triplet);
  showView(triplet);
}

export function showView({ view, blinking }) {
  document.getElementById("stretch").textContent = view.stretch;
  document.getElementById("zoom").textContent = `${view.zoom}×`;
  const pressed = { invert: view.inverted, cross: view.cross, blink: blinking !== null };
  for (const [name, is] of Object.entries(pressed)) {
    document.querySelector(`[data-do="${name}"]`).setAttribute("aria-pressed", String(is));
  }
}
