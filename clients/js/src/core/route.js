// The way to the edge: the transport in use, the one that is to replace it, and when to look for another.
//
// A move is made before the break: the next transport is opened beside the one in use, and taken once the edge has welcomed the client
// on it. Where it does not open, the one in use serves on.

import { Choice } from "./choice.js";

/**
 * @import { Way } from "./choice.js"
 * @import { Effect } from "./effects.js"
 *
 * @typedef {{transport: Way, by: number, chosen: boolean}} Next the transport that is opened beside the one in use; `by` when it must
 *   have opened; `chosen`: to be used, rather than to be tried
 */

const MOVE_AGAIN_MS = 1_000; // between two tries to move; the one in use serves meanwhile
const PROBE_MS = 300_000; // how often a better transport is tried while a worse one serves
const REST_SPREAD = 0.2; // of the interval between polls, to both sides: who was told together must not ask together
const ADVICE_MS = 60_000; // how often the edge is asked whether a better one may be used again

export class Route {
  /** @type {Way | null} the transport in use, open or opening */
  serving = null;
  /** The edge has said something on it. */
  answered = false;
  /** When to give up waiting for that. */
  openBy = Infinity;
  /** @type {Next | null} */
  next = null;
  /** When to open the next. */
  moveAt = Infinity;
  /** … and whether that is because the edge leaves. */
  leaving = false;
  #probeAt = Infinity;
  #adviceAt = Infinity;
  #intervalMs = 0; // between polls, where the edge wants them rather than holding them
  #quietUntil = 0; // neither of both before: the edge has said so
  #curious;
  #random;

  /**
   * @param {readonly Way[]} transports best first
   * @param {Way | null} remembered what worked before in this page's session
   * @param {boolean} curious ask the edge at the beginning which transports to use
   * @param {() => number} random
   */
  constructor(transports, remembered, curious, random) {
    this.choice = new Choice(transports, remembered);
    this.#curious = curious;
    this.#random = random;
  }

  get deadline() {
    const probeAt = this.next ? Infinity : this.#probeAt; // one at a time
    return Math.min(this.openBy, this.next?.by ?? this.moveAt, Math.max(this.#quietUntil, Math.min(probeAt, this.#adviceAt)));
  }

  /** How long to wait from an answer to the next poll; 0: the edge holds polls. */
  get restMs() {
    return this.#intervalMs * (1 + REST_SPREAD * (2 * this.#random() - 1));
  }

  /** The edge's policy. @param {readonly string[]} transports best first @param {{interval: number} | undefined} poll seconds, for whom it wants to poll */
  obey(transports, poll) {
    this.choice.obey(transports);
    this.#intervalMs = transports[0] === "poll" ? (poll?.interval ?? 0) * 1000 : 0;
  }

  /** Open the transport of choice. @param {number} now @param {Effect[]} out */
  open(now, out) {
    const { current } = this.choice;
    this.serving = current;
    this.answered = false;
    this.openBy = now + this.choice.timeoutMs(current);
    out.push({ type: "open", transport: current });
    if (this.#curious) this.#ask(now, out);
  }

  /** Something was heard on the transport in use. @param {number} now */
  heard(now) {
    if (this.answered || !this.serving) return;
    this.answered = true;
    this.openBy = now + this.choice.timeoutMs(this.serving);
    this.choice.opened(this.serving);
  }

  /** The edge has welcomed the client. @param {number} now */
  welcomed(now) {
    this.openBy = Infinity;
    this.leaving = false;
    this.moveAt = this.choice.current === this.serving ? Infinity : now; // chosen meanwhile
    this.#look(now);
  }

  /** While connected. @param {number} now @param {boolean} stale the one in use does not carry all that is wanted @param {Effect[]} out */
  tick(now, stale, out) {
    if (this.next) {
      if (now >= this.next.by) this.stay(true, now, out);
    } else if (stale || now >= this.moveAt) this.#prepare(this.choice.current, now, out);
    else if (now >= Math.max(this.#probeAt, this.#quietUntil)) {
      this.#probeAt = Infinity;
      this.#look(now);
      if (this.#probeAt < Infinity) this.#prepare(this.choice.best, now, out);
    }
    if (now >= Math.max(this.#adviceAt, this.#quietUntil)) this.#ask(now, out);
  }

  /** What is to be used may be another transport now. @param {number} now @param {Effect[]} out */
  follow(now, out) {
    const { current, best } = this.choice;
    // What is merely tried may go on being tried, as long as it would be the best.
    if (this.next && this.next.transport !== current && (this.next.chosen || this.next.transport !== best)) {
      this.next = null;
      out.push({ type: "abandon" });
    }
    if (this.serving !== current && !this.next) this.#prepare(current, now, out);
    this.#look(now);
  }

  /** @param {number} now */
  networkChanged(now) {
    this.choice.networkChanged();
    if (this.#probeAt < Infinity) this.#probeAt = now;
  }

  /** The edge has said when it wants to be asked again. @param {number} at */
  quiet(at) {
    this.#quietUntil = Math.max(this.#quietUntil, at);
  }

  /** The edge has welcomed the client on the next transport. @param {Effect[]} out */
  take(out) {
    const { transport } = /** @type {Next} */ (this.next);
    const changed = transport !== this.serving;
    this.next = null;
    this.serving = transport;
    this.answered = true;
    this.choice.opened(transport);
    out.push({ type: "take" });
    if (changed) out.push({ type: "transport", transport });
  }

  /** The next transport did not open. @param {boolean} silent @param {number} now @param {Effect[]} out @param {number} [afterMs] of the edge, 0 where it named no time */
  stay(silent, now, out, afterMs = 0) {
    if (!this.next) return;
    const { transport, chosen } = this.next;
    this.next = null;
    out.push({ type: "abandon" });
    this.quiet(now + afterMs);
    if (!chosen) return;
    if (transport !== this.serving) this.choice.neverOpened(silent);
    const again = this.leaving || transport === this.serving || this.choice.current !== this.serving;
    if (again) this.moveAt = now + (afterMs || MOVE_AGAIN_MS * (0.5 + this.#random()));
    else this.#look(now);
  }

  leave() {
    this.serving = this.next = null;
    this.answered = this.leaving = false;
    this.openBy = this.moveAt = this.#probeAt = this.#adviceAt = Infinity;
  }

  /** @param {Way} transport @param {number} now @param {Effect[]} out */
  #prepare(transport, now, out) {
    const chosen = transport === this.choice.current;
    if (chosen) this.moveAt = Infinity;
    this.next = { transport, by: now + this.choice.timeoutMs(transport), chosen };
    out.push({ type: "prepare", transport });
  }

  /** @param {number} now @param {Effect[]} out */
  #ask(now, out) {
    this.#curious = false;
    this.#adviceAt = Infinity;
    out.push({ type: "advice" });
    this.#look(now);
  }

  /** Say when to look for something better, unless that is said already. @param {number} now */
  #look(now) {
    const { best, restricted } = this.choice;
    const [probeMs, adviceMs] = [PROBE_MS * (0.75 + 0.5 * this.#random()), ADVICE_MS * (0.5 + this.#random())];
    this.#probeAt = best === this.serving ? Infinity : Math.min(this.#probeAt, now + probeMs);
    this.#adviceAt = restricted ? Math.min(this.#adviceAt, now + adviceMs) : Infinity;
  }
}
