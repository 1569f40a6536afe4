// Whether an open connection is alive: any frame counts as life, silence for ping + pong as death (docs/websocket-api.md, "Heartbeat object").

import { LIMITS } from "../protocol.gen.js";

const LATE_MS = 2_000; // a timer that rings this late slept with the page: ask before giving up
const DOUBT_MS = 1_000; // who was heard from within this long needs no check

export class Liveness {
  #pingMs = LIMITS.PING_S * 1000;
  #pongMs = LIMITS.PONG_S * 1000;
  #heardAt = 0;

  /** When silence becomes death; Infinity while there is no connection. */
  deadline = Infinity;

  /** @param {{ping: number, pong: number}} terms seconds, from the edge */
  agree({ ping, pong }) {
    this.#pingMs = ping * 1000;
    this.#pongMs = pong * 1000;
  }

  /** @param {number} now */
  heard(now) {
    this.#heardAt = now;
    this.deadline = now + this.#pingMs + this.#pongMs;
  }

  forget() {
    this.deadline = Infinity;
  }

  /** A `ping` goes out: an answer is due. @param {number} now */
  asked(now) {
    this.deadline = Math.min(this.deadline < now ? Infinity : this.deadline, now + this.#pongMs);
  }

  /** @param {number} now @returns {boolean} whether it is worth asking after the page or the network was away */
  doubtful(now) {
    return now - this.#heardAt > DOUBT_MS;
  }

  /** @param {number} now @returns {"alive" | "ask" | "dead"} */
  verdict(now) {
    if (now < this.deadline) return "alive";
    return now >= this.deadline + LATE_MS ? "ask" : "dead";
  }
}
