// One connection for all tabs of a browser: what this tab has to do with it.

import { openLater } from "./transports/open.js";

/**
 * @import { Effect } from "./core/effects.js"
 * @import { Session } from "./core/session.js"
 * @import { Group } from "./tabs/group.js"
 * @import { Ways } from "./tabs/trunk.js"
 * @import { Transport } from "./core/choice.js"
 * @import { Host, Link, LinkEvents } from "./transports/link.js"
 *
 * @typedef {object} Tab
 * @property {string} base address of the edge
 * @property {Host} host
 * @property {() => Ways["terms"]} terms of a connection of its own
 * @property {() => string} subject of the tab's token; empty where it does not tell
 * @property {() => Promise<string | null>} token the application's provider
 * @property {(effects: readonly Effect[]) => void} perform what this tab's session wants done
 * @property {() => void} carried what carries the connection is known, or another
 * @property {(effect: Effect) => void} report
 * @property {() => void} impossible connect without the others
 */

const LANGUAGE = 1; // in which tabs talk: those that were loaded from another version of this package, and talk otherwise, stay apart

/** @param {Host} host @returns {boolean} whether this browser has what it takes */
export function canShare({ locks, broadcast, document }) {
  return Boolean(locks && broadcast && document);
}

export class Sharing {
  /** @type {Group | null} */
  #group = null;
  #session;
  #tab;

  /** @param {Session} session @param {Tab} tab */
  constructor(session, tab) {
    this.#session = session;
    this.#tab = tab;
    session.credentials.idle = true;
  }

  /** What carries the one connection; null before that is known. */
  get carrier() {
    return this.#group?.carrier ?? null;
  }

  /** Whether this tab holds it. */
  get leads() {
    return this.#group?.leads ?? false;
  }

  /** @param {string} kind of connection: tabs that want another one do not share @param {LinkEvents} events @returns {Link} */
  open(kind, events) {
    const { base, host, subject, perform, carried } = this.#tab;
    const load = import("./tabs/group.js").then(({ Group }) => {
      // Users are kept apart: one must not hear what is another's.
      if (!subject()) throw new Error("the token does not tell its user");
      return () => {
        const key = `whimbrel:${LANGUAGE}:${base}:${kind}:${subject()}`;
        const closed = (/** @type {number} */ code, /** @type {string} */ reason) => this.leave(code, reason);
        const refused = () => {
          this.leave();
          this.#alone();
        };
        try {
          this.#group ??= new Group(key, host, () => this.#ways(), { moved: () => this.#move(), up: () => perform(this.#session.wake(host.now())), carried, closed, refused });
        } catch (error) {
          this.#alone(); // the page may hold locks, but no BroadcastChannel
          throw error;
        }
        return this.#group.open(events);
      };
    });
    load.catch(() => this.#alone());
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

  #alone() {
    this.#session.credentials.idle = false;
    this.#tab.impossible();
  }

  /** Another tab holds the connection now: go over to it. */
  #move() {
    const { host, perform } = this.#tab;
    perform(this.#session.move(host.now()));
    return this.#session.state === "connected";
  }

  /** @returns {Ways} */
  #ways() {
    const { base, host, terms, token, report } = this.#tab;
    const { credentials } = this.#session;
    return {
      base,
      host,
      report,
      terms: terms(),
      resume: credentials.resume,
      token: async () => credentials.lend(host.now()) ?? (await token()),
    };
  }
}
