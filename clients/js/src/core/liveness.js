// Whether an open connection is alive: any frame counts as life, silence for ping + pong as death (docs/websocket-api.md, "Heartbeat object").

import * as LIMITS from "../limits.gen.js";

const LATE_MS = 2_000; // a timer that rings this late slept with the page: ask before giving up
const DOUBT_MS = 1_000; // who was heard from within this long needs no check

export class Liveness {
  #pingMs = LIMITS.PING_S * 1000;
  #pongMs = LIMITS.PONG_S * 1000;
  #heardAt = 0;

  /** When silence becomes death; Infinity while there is no connection. */
  deadline = Infinity;
  /** Nothing was heard since the edge let the client in. */
  mute = false;

  /** @param {number} now */
  heard(now) {
    this.#heardAt = now;
    this.mute = false;
    this.deadline = now + this.#pingMs + this.#pongMs;
  }

  /** @param {{ping: number, pong: number}} terms seconds, from the edge @param {number} now */
  welcomed({ ping, pong }, now) {
    this.#pingMs = ping * 1000;
    this.#pongMs = pong * 1000;
    this.heard(now);
    this.mute = true;
  }

  forget() {
    this.deadline = Infinity;
  }

  /** A `ping` goes out: an answer is due. @param {number} now */
  asked(now) {
    this.deadline = Math.min(this.deadline < now ? Infinity : this.deadline, now + this.#pongMs);
  }

  /**
   * @param {number} now
   * @param {boolean} dear asking costs a connection: only one that missed its heartbeat is doubted
   * @returns {boolean} whether it is worth asking after the page or the network was away
   */
  doubtful(now, dear) {
    return now - this.#heardAt > (dear ? this.#pingMs : DOUBT_MS);
  }

  /** @param {number} now @returns {"alive" | "ask" | "dead"} */
  verdict(now) {
    if (now < this.deadline) return "alive";
    return now >= this.deadline + LATE_MS ? "ask" : "dead";
  }
}
