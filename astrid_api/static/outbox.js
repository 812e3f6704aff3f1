// Verdicts on their way: kept in this browser until the server has answered for each.
//
// They are sent one after another, in their order, each with the idempotency key it was made
// with: sent twice, by a reload or by two tabs, it is still one. What the server does not
// answer is sent again, later and later.

import { Problem, askJson, config } from "./api.js";

const WAITING = `astrid.outbox.${config.user.id}`;
const EVENTS = `astrid.events.${config.user.id}`;
const KEPT_EVENTS = 500;
const LONGEST_WAIT_MS = 30_000;

const read = (name, otherwise) => JSON.parse(localStorage.getItem(name) ?? otherwise);
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Key of a message; `crypto.randomUUID` is there on secure origins only. */
function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** One sender at a time among this reviewer's tabs, where the browser can tell. */
function alone(work) {
  return navigator.locks ? navigator.locks.request(WAITING, work) : work();
}

export class Outbox {
  /**
   * @param told `(change) => …` of `sending`, `sent` (with the answer), `refused` and `failing`
   *   (with the problem), each with the message it is about.
   */
  constructor(told) {
    this.told = told;
    this.running = null;
  }

  get waiting() {
    return read(WAITING, "[]");
  }

  /** Leases of items whose verdict is still on its way. */
  get leases() {
    return new Set(this.waiting.map((message) => message.body?.lease_id));
  }

  verdict(detectionId, body) {
    return this.add({ kind: "verdict", key: newKey(), detectionId, body });
  }

  /** Take back the verdict that was sent with a key. */
  undo(detectionId, of) {
    return this.add({ kind: "undo", key: newKey(), detectionId, of });
  }

  add(message) {
    localStorage.setItem(WAITING, JSON.stringify([...this.waiting, message]));
    this.send();
    return message.key;
  }

  /** Send what waits; harmless while it is being sent. */
  send() {
    this.running ??= this.run().finally(() => {
      this.running = null;
    });
    return this.running;
  }

  async run() {
    let goesOn = true;
    while (goesOn && this.waiting.length > 0) goesOn = await alone(() => this.sendAll());
  }

  /** Whether all was sent. */
  async sendAll() {
    let wait = 500;
    for (let [message] = this.waiting; message; [message] = this.waiting) {
      this.told({ state: "sending", message });
      try {
        const answer = await this.post(message);
        this.remove(message);
        this.told({ state: "sent", message, answer });
        wait = 500;
      } catch (problem) {
        if (!(problem instanceof Problem)) throw problem;
        if (problem.status === 401) {
          this.told({ state: "failing", message, problem });
          return false; // kept until the reviewer is signed in again
        }
        if (problem.passes) {
          this.told({ state: "failing", message, problem });
          await sleep(wait);
          wait = Math.min(2 * wait, LONGEST_WAIT_MS);
        } else {
          this.remove(message);
          this.told({ state: "refused", message, problem });
        }
      }
    }
    return true;
  }

  async post({ kind, key, detectionId, body, of }) {
    if (kind === "verdict") {
      const answer = await askJson("POST", `/detections/${detectionId}/validations`, { body, key });
      const events = [...read(EVENTS, "[]"), [key, answer.event_id]];
      localStorage.setItem(EVENTS, JSON.stringify(events.slice(-KEPT_EVENTS)));
      return answer;
    }
    const event = new Map(read(EVENTS, "[]")).get(of);
    if (event === undefined) throw new Problem(404, "That verdict was never taken.");
    return askJson("POST", `/validations/${event}/undo`, { key });
  }

  remove(message) {
    const left = this.waiting.filter((other) => other.key !== message.key);
    localStorage.setItem(WAITING, JSON.stringify(left));
  }
}
