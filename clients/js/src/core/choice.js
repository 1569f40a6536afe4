// Which transport to use: the first that opens.

import * as LIMITS from "../limits.gen.js";

/**
 * @typedef {"websocket" | "sse" | "poll"} Transport
 * @typedef {Transport | "tabs"} Way "tabs": over the connection that another tab holds, or this one for all
 */

const OPEN_TIMEOUT_MS = LIMITS.OPEN_TIMEOUT_S * 1000; // silence for this long counts as a transport that never opens
const PROVEN_TIMEOUT_MS = 10_000; // … but one that has opened before on this network gets time: the edge may be busy

/**
 * Transports in order of preference, and what is known of them. One that *never opened* gives way to the next; one that opened and
 * dropped does not, for then the network lets it through.
 */
export class Choice {
  /** @type {readonly Way[]} what the application wants */
  #preferred;
  /** @type {readonly Way[]} … and what the edge says of it */
  #order;
  /** @type {Set<Way>} */
  #proven = new Set();
  /** @type {Set<Way>} */
  #failed = new Set();
  /** @type {Set<Way>} */
  #disabled = new Set();
  #failures = 0;

  /**
   * @param {readonly Way[]} order best first, not empty
   * @param {Way | null} [remembered] what worked before in this page's session
   */
  constructor(order, remembered = null) {
    this.#preferred = this.#order = order;
    /** @type {Way} */
    this.current = remembered && order.includes(remembered) ? remembered : /** @type {Way} */ (order[0]);
  }

  /** @param {Way} transport @returns {number} how long to wait for it to open */
  timeoutMs(transport) {
    return this.#proven.has(transport) || this.#usable().length === 1 ? PROVEN_TIMEOUT_MS : OPEN_TIMEOUT_MS;
  }

  /** The transport to use if it opens. */
  get best() {
    return this.#usable()[0] ?? this.current;
  }

  /** Whether the application, or what was found by trying, keeps the client from what it would like best. */
  get restricted() {
    return this.current !== this.#preferred[0];
  }

  /** @param {Way} transport answered: use it */
  opened(transport) {
    this.current = transport;
    this.#proven.add(transport);
    this.#failed.delete(transport);
    this.#failures = 0;
  }

  /**
   * Take note that the current transport gave no answer.
   *
   * @param {boolean} silent it was silent until the timeout, rather than refused
   * @returns {boolean} whether another transport, not yet tried, is current now: try it at once
   */
  neverOpened(silent) {
    if (this.#proven.has(this.current)) return false;
    this.#failures += 1;
    if (this.#failures < LIMITS.OPEN_TRIES && !silent) return false;
    return this.failed();
  }

  /**
   * Give up the current transport on this network.
   *
   * @returns {boolean} whether another transport, not yet tried, is current now
   */
  failed() {
    this.#failures = 0;
    this.#proven.delete(this.current);
    this.#failed.add(this.current);
    const fresh = this.#usable().find((each) => !this.#failed.has(each));
    if (fresh === undefined) this.#failed.clear(); // nothing opens: it is the network, not the transport
    const next = fresh ?? this.best;
    const moved = next !== this.current && fresh !== undefined;
    this.current = next;
    return moved;
  }

  /** Another network may let through what the last one did not, and the other way round. */
  networkChanged() {
    this.#proven.clear();
    this.#failed.clear();
    this.#failures = 0;
  }

  /**
   * Never use the current transport again: the edge has switched it off.
   *
   * @returns {boolean} whether another one is left, which is current now
   */
  disable() {
    this.#disabled.add(this.current);
    const next = this.#usable()[0];
    if (next === undefined) return false;
    this.#failures = 0;
    this.current = next;
    return true;
  }

  /**
   * Take the edge's word on which transports to use; those that the application does not want stay out.
   *
   * @param {readonly string[]} policy
   */
  obey(policy) {
    this.#take(/** @type {Way[]} */ (policy.filter((each) => this.#preferred.includes(/** @type {Way} */ (each)))));
  }

  /**
   * Take the application's order.
   *
   * @param {readonly Way[]} order
   */
  prefer(order) {
    this.#preferred = order;
    this.#take(order);
  }

  /** @param {readonly Way[]} order */
  #take(order) {
    if (order.length === 0) return;
    for (const each of order) if (!this.#order.includes(each)) this.#failed.delete(each); // it may have failed by the edge's will
    this.#order = order;
    this.#disabled.clear();
    const next = order.find((each) => !this.#failed.has(each)) ?? /** @type {Way} */ (order[0]);
    if (next !== this.current) this.#failures = 0; // advice that changes nothing forgives nothing
    this.current = next;
  }

  #usable() {
    return this.#order.filter((each) => !this.#disabled.has(each));
  }
}
