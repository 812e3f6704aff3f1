// The review page: one item after another, judged by single keys.

import { Problem, askJson, config, element, number } from "./api.js";
import { fillFacts, title, words } from "./facts.js";
import { lightCurve } from "./lightcurve.js";
import { Outbox } from "./outbox.js";
import { Triplet, fetchCutout } from "./triplet.js";
import { VIEW_KEYS, look, showView } from "./view.js";

const HELD = 12; // items fetched ahead
const LOW = 8; // asks for more below
const KEPT = 60; // items kept to go back to without a wait
const EMPTY_RETRY_MS = 20_000;
const RENEW_MS = 240_000; // leases are renewed well before they run out
const HISTORY = `astrid.history.${config.user.id}`;
const ASKS = "astrid.asks";

const KEYS = { ...VIEW_KEYS, z: "undo", n: "note", k: "kinds", arrowleft: "back", arrowright: "forth", "?": "help" };

const at = (id) => document.getElementById(id);
const { version, subtypes } = config.taxonomy;
const verdicts = Object.keys(subtypes);

class Review {
  constructor() {
    this.triplet = new Triplet(at("item"));
    this.outbox = new Outbox((change) => this.told(change));
    // {detectionId, leaseId} to judge, the first is shown; `own`: not of the queue's choosing
    this.deck = [];
    this.history = JSON.parse(sessionStorage.getItem(HISTORY) ?? "[]"); // and what was said
    this.place = this.history.length; // in the history; its length: at the deck
    this.loaded = new Map();
    this.asks = localStorage.getItem(ASKS) !== "no";
    this.pending = null; // verdict whose kind is being asked
    this.note = "";
    this.turn = 0;
  }

  async start() {
    const named = new URLSearchParams(location.search).get("detection");
    if (named) this.deck.push({ detectionId: named, leaseId: null, own: true });
    this.listen();
    showView(this.triplet);
    this.outbox.send();
    await this.refill();
    await this.show();
    this.countWaiting();
    setInterval(() => document.hidden || this.refill(), RENEW_MS);
    setInterval(() => document.hidden || this.countWaiting(), 60_000);
  }

  // --- items ------------------------------------------------------------------------------

  /** Item that is shown; undefined where there is none. */
  get current() {
    return this.place < this.history.length ? this.history[this.place] : this.deck[0];
  }

  /** What is shown of an item; asked once. */
  load(detectionId) {
    if (!this.loaded.has(detectionId)) {
      const loading = fetchItem(detectionId);
      loading.catch(() => this.loaded.delete(detectionId));
      this.loaded.set(detectionId, loading);
      if (this.loaded.size > KEPT) this.loaded.delete(this.loaded.keys().next().value);
    }
    return this.loaded.get(detectionId);
  }

  /** Have enough items, and keep those that are here. */
  refill() {
    this.refilling ??= this.fetchItems().finally(() => {
      this.refilling = null;
    });
    return this.refilling;
  }

  async fetchItems() {
    let items;
    try {
      ({ items } = await askJson("GET", `/review/queue?n=${HELD}`));
    } catch (problem) {
      this.complain(problem);
      return;
    }
    const held = new Set(items.map((item) => item.lease_id));
    const done = this.outbox.leases;
    for (const entry of this.history) done.add(entry.leaseId);
    // What is being looked at stays, even if somebody else may have it by now.
    this.deck = this.deck.filter((entry, i) => i === 0 || entry.own || held.has(entry.leaseId));
    const here = new Set(this.deck.map((entry) => entry.leaseId));
    for (const { lease_id: leaseId, detection_id: detectionId } of items) {
      if (!done.has(leaseId) && !here.has(leaseId)) this.deck.push({ detectionId, leaseId });
    }
    for (const { detectionId } of this.deck) this.load(detectionId).catch(() => {});
  }

  async countWaiting() {
    try {
      const { n_waiting: n } = await askJson("GET", "/review/progress");
      at("waiting").textContent = `${n} waiting`;
    } catch (problem) {
      this.complain(problem);
    }
  }

  // --- showing ----------------------------------------------------------------------------

  async show() {
    this.turn += 1;
    const { turn, current } = this;
    this.ask(null);
    this.showCounts();
    if (!current) {
      this.showEmpty();
      return;
    }
    let item;
    let cutout;
    try {
      [item, cutout] = await this.load(current.detectionId);
    } catch (problem) {
      if (turn === this.turn) this.complain(problem, current);
      return;
    }
    if (turn !== this.turn) return;
    this.draw(item, cutout, current);
    this.shown = { item, since: performance.now() };
    measure(this.pressedAt);
    this.pressedAt = undefined;
  }

  draw(item, cutout, { said }) {
    at("empty").hidden = true;
    at("item").hidden = false;
    at("item").dataset.detection = item.id;
    at("what").textContent = title(item);
    if (said) at("what").append(` · ${describe(said.at(-1))}`);
    fillFacts(at("facts"), item);
    this.triplet.show(cutout);
    at("item").querySelector(".triplet").hidden = !cutout;
    const curve = lightCurve(item.light_curve, item.observation.observation_time);
    at("curve").replaceChildren(curve ?? element("p", { class: "muted" }, "No light curve."));
  }

  showEmpty() {
    at("item").hidden = true;
    at("empty").hidden = false;
    at("empty").textContent = "Nothing to judge for now: what is left is with others, or you judged it.";
    const { turn } = this;
    setTimeout(async () => {
      if (turn !== this.turn) return;
      await this.refill();
      await this.show();
    }, EMPTY_RETRY_MS);
  }

  showCounts() {
    const last = this.history.map((entry) => entry.said.at(-1));
    const counts = verdicts.map((verdict) => {
      const n = last.filter((one) => one.verdict === verdict).length;
      return element("span", { class: verdict }, `${n} ${verdict}`);
    });
    at("counts").replaceChildren(`${last.length} judged: `, ...counts.flatMap((one, i) => (i ? [" · ", one] : [one])));
    const times = last.map((one) => one.time_taken_s).sort((a, b) => a - b);
    const median = times[Math.floor(times.length / 2)];
    at("speed").textContent = median ? `${number(median, 2)} s each, ${Math.round(3600 / median)} an hour` : "";
  }

  /** Say what went wrong, and how to go on. */
  complain(problem, item) {
    if (!(problem instanceof Problem)) throw problem;
    const again = element("button", { type: "button" }, item ? "Try again" : "Close");
    again.addEventListener("click", () => {
      at("problem").hidden = true;
      if (item) this.show();
    });
    const link = problem.status === 401 ? [element("a", { href: "/sign-in" }, "Sign in"), " "] : [];
    at("problem").replaceChildren(`${problem.message} ${problem.remedy} `, ...link, again);
    at("problem").hidden = false;
  }

  // --- judging ----------------------------------------------------------------------------

  /** A verdict was chosen: ask for its kind first, where it has kinds. */
  choose(verdict, pressedAt) {
    if (!this.shown || !this.current) return;
    if (this.asks && subtypes[verdict].length > 0) this.ask(verdict);
    else this.judge(verdict, null, pressedAt);
  }

  /** Ask for the kind of a verdict, or stop asking. */
  ask(verdict) {
    this.pending = verdict;
    at("subtypes").hidden = verdict === null;
    if (verdict === null) return;
    const kinds = subtypes[verdict].map((kind, i) => {
      const button = element("button", { type: "button", "aria-keyshortcuts": i + 1 }, element("kbd", {}, i + 1), ` ${words(kind)}`);
      button.addEventListener("click", (event) => this.judge(verdict, kind, event.timeStamp));
      return button;
    });
    const none = element("button", { type: "button", "aria-keyshortcuts": "Enter" }, element("kbd", {}, "Enter"), " no kind");
    none.addEventListener("click", (event) => this.judge(verdict, null, event.timeStamp));
    at("subtypes").replaceChildren(element("span", { class: verdict }, `${verdict}:`), ...kinds, none);
  }

  judge(verdict, subtype, pressedAt) {
    const { current, shown } = this;
    const body = {
      verdict,
      subtype,
      taxonomy_version: version,
      cutout_sha256: shown.item.cutout_sha256,
      note: this.note || null,
      time_taken_s: Math.min((performance.now() - shown.since) / 1000, 86_400),
      lease_id: current.leaseId,
    };
    const key = this.outbox.verdict(current.detectionId, body);
    const one = { key, verdict, subtype, time_taken_s: body.time_taken_s };
    const entry = { ...current, said: [...(current.said ?? []), one] };
    // The last of the history is always what was judged last: that is what undo takes back.
    if (this.place < this.history.length) this.history.splice(this.place, 1);
    else this.deck.shift();
    this.history.push(entry);
    // On to the next of the history, or back to the deck.
    if (this.place >= this.history.length - 1) this.place = this.history.length;
    this.keep();
    this.writeNote("");
    this.shown = null;
    this.pressedAt = pressedAt; // however long the next item takes to come
    this.show();
    if (this.deck.length < LOW) this.refill().then(() => at("empty").hidden || this.show());
  }

  undo() {
    const entry = this.history.at(-1);
    if (!entry) {
      at("saving").textContent = "Nothing to take back.";
      return;
    }
    this.outbox.undo(entry.detectionId, entry.said.pop().key);
    this.takeBack(entry);
  }

  /** Show an item again whose last verdict is gone. */
  takeBack(entry) {
    const index = this.history.indexOf(entry);
    if (entry.said.length === 0) {
      this.history.splice(index, 1);
      this.deck.unshift({ detectionId: entry.detectionId, leaseId: entry.leaseId, own: true });
      this.place = this.history.length;
    } else {
      this.place = index;
    }
    this.keep();
    this.show();
  }

  go(steps) {
    const place = Math.min(Math.max(this.place + steps, 0), this.history.length);
    if (place === this.place) return;
    this.place = place;
    this.show();
  }

  keep() {
    sessionStorage.setItem(HISTORY, JSON.stringify(this.history));
  }

  // --- verdicts on their way --------------------------------------------------------------

  told({ state, message, answer, problem }) {
    const n = this.outbox.waiting.length;
    if (state === "sending") at("saving").textContent = "saving…";
    if (state === "failing") {
      at("saving").textContent = `${n} not saved yet, kept in this browser: ${problem.message}`;
      if (problem.status === 401) this.complain(problem);
    }
    if (state === "sent") this.saved(message, answer, n);
    if (state === "refused") this.refused(message, problem);
  }

  saved(message, answer, n) {
    if (message.kind === "undo") {
      at("saving").textContent = "Taken back.";
      return;
    }
    const entry = this.history.find((one) => one.said.some((said) => said.key === message.key));
    const said = entry?.said.find((one) => one.key === message.key);
    if (!said) return; // taken back meanwhile
    said.confidence = answer.confidence_score;
    this.keep();
    at("saving").textContent = n ? `saving ${n}…` : `Saved: ${describe(said)}`;
  }

  refused(message, problem) {
    this.complain(problem);
    const entry = this.history.find((one) => one.said.some((said) => said.key === message.key));
    if (!entry) return;
    entry.said = entry.said.filter((said) => said.key !== message.key);
    this.loaded.delete(entry.detectionId); // it may be another by now
    this.takeBack(entry);
  }

  // --- keys -------------------------------------------------------------------------------

  listen() {
    document.addEventListener("keydown", (event) => this.key(event));
    document.addEventListener("visibilitychange", () => this.pause());
    window.addEventListener("online", () => this.outbox.send());
    for (const button of document.querySelectorAll("[data-verdict]")) {
      button.addEventListener("click", (event) => this.choose(button.dataset.verdict, event.timeStamp));
    }
    for (const button of document.querySelectorAll("[data-do]")) {
      button.addEventListener("click", () => this.act(button.dataset.do));
    }
    at("note").querySelector("textarea").addEventListener("keydown", (event) => this.noteKey(event));
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    if (at("help").open || event.target.matches("textarea, input, select")) return;
    if (this.pending && this.kindKey(event)) event.preventDefault();
    else if (this.plainKey(event)) event.preventDefault();
  }

  /** Keys while the kind of a verdict is asked; whether it was one of them. */
  kindKey({ key, timeStamp }) {
    const kind = subtypes[this.pending][Number(key) - 1];
    if (kind !== undefined) this.judge(this.pending, kind, timeStamp);
    else if (key === "Enter" || key === "0") this.judge(this.pending, null, timeStamp);
    else if (key === "Escape") this.ask(null);
    else return /^[1-9]$/.test(key);
    return true;
  }

  plainKey({ key, timeStamp }) {
    const verdict = verdicts[Number(key) - 1];
    const action = KEYS[key.toLowerCase()];
    if (verdict !== undefined) this.choose(verdict, timeStamp);
    else if (action) this.act(action);
    return verdict !== undefined || action !== undefined;
  }

  act(action) {
    const own = {
      undo: () => this.undo(),
      note: () => this.openNote(),
      kinds: () => this.toggleKinds(),
      back: () => this.go(-1),
      forth: () => this.go(1),
      help: () => at("help").showModal(),
    }[action];
    if (own) own();
    else look(this.triplet, action);
  }

  toggleKinds() {
    this.asks = !this.asks;
    localStorage.setItem(ASKS, this.asks ? "yes" : "no");
    this.ask(null);
    at("saving").textContent = this.asks ? "Asks for the kind." : "Does not ask for the kind.";
  }

  openNote() {
    at("note").hidden = false;
    const text = at("note").querySelector("textarea");
    text.value = this.note;
    text.focus();
  }

  noteKey(event) {
    if (event.key === "Enter" && !event.shiftKey) this.writeNote(event.target.value.trim());
    else if (event.key === "Escape") this.writeNote("");
    else return;
    event.preventDefault();
  }

  writeNote(note) {
    this.note = note;
    at("note").querySelector("textarea").blur(); // else it gets the next keys, hidden or not
    at("note").hidden = true;
    document.querySelector('[data-do="note"]').setAttribute("aria-pressed", String(note !== ""));
  }

  /** Time in which nobody looks is not time taken. */
  pause() {
    if (document.hidden) this.hiddenAt = performance.now();
    else {
      if (this.shown && this.hiddenAt) this.shown.since += performance.now() - this.hiddenAt;
      this.outbox.send();
      this.refill();
    }
  }
}

/** An item and its cutout; null in its place where none is stored. */
async function fetchItem(detectionId) {
  const item = await askJson("GET", `/review/items/${detectionId}`);
  return [item, item.cutout_sha256 && (await fetchCutout(detectionId))];
}

function describe({ verdict, subtype, confidence }) {
  const kind = subtype ? ` (${words(subtype)})` : "";
  const model = confidence === undefined ? "" : `; the model: ${Math.round(100 * confidence)} % real`;
  return `${verdict}${kind}${model}`;
}

/** Time from the key to the next item on the screen, for whoever measures it. */
function measure(pressedAt) {
  if (pressedAt === undefined) return;
  requestAnimationFrame(() => {
    setTimeout(() => performance.measure("astrid:next", { start: pressedAt, end: performance.now() }));
  });
}

new Review().start();
