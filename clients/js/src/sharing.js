// One connection for all tabs of a browser: what this tab has to do with it.

import { openLater } from "./transports/open.js";

/**
 * @import { Transport } from "./core/choice.js"
 * @import { Group } from "./tabs/group.js"
 * @import { Ways } from "./tabs/trunk.js"
 * @import { Host, Link, LinkEvents } from "./transports/link.js"
 *
 * @typedef {object} SharingEvents
 * @property {() => boolean} moved another tab holds the connection now: go over to it
 * @property {(transport: Transport) => void} carried what carries it
 * @property {() => void} impossible connect without the others
 */

/** @param {Host} host @returns {boolean} whether this browser has what it takes */
export function canShare({ locks, broadcast, document }) {
  return Boolean(locks && broadcast && document);
}

export class Sharing {
  /** @type {Group | null} */
  #group = null;
  #host;
  #ways;
  #events;

  /** @param {Host} host @param {() => Ways} ways of a connection of its own @param {SharingEvents} events */
  constructor(host, ways, events) {
    this.#host = host;
    this.#ways = ways;
    this.#events = events;
  }

  /** What carries the one connection; null before that is known. */
  get carrier() {
    return this.#group?.carrier ?? null;
  }

  /** Whether this tab holds it. */
  get leads() {
    return this.#group?.leads ?? false;
  }

  /** @param {string} key of the user at the edge; empty where the token does not tell @param {LinkEvents} events @returns {Link} */
  open(key, events) {
    if (!key) {
      queueMicrotask(this.#events.impossible);
      return { send: () => {}, close: () => {} };
    }
    const load = import("./tabs/group.js").then(({ Group }) => () => {
      this.#group ??= new Group(key, this.#host, this.#ways, {
        moved: this.#events.moved,
        carried: this.#events.carried,
        closed: (code, reason) => this.leave(code, reason),
      });
      return this.#group.open(events);
    });
    load.catch(this.#events.impossible);
    return openLater(load, events);
  }

  /** @param {readonly Transport[]} transports */
  prefer(transports) {
    this.#group?.prefer(transports);
  }

  /** The tab is closed or put away. @param {number} [code] @param {string} [reason] */
  leave(code, reason) {
    const group = this.#group;
    this.#group = null;
    group?.close(code, reason);
  }
}
