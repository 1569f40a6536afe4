// When to try again: the edge's word first, else at once where that is known to help, else with backoff.

import * as LIMITS from "../limits.gen.js";
import { backoff } from "./backoff.js";

const FORGIVEN_AFTER_MS = LIMITS.BACKOFF_RESET_S * 1000; // a connection that lived this long forgives the failures before it

export class Retry {
  /** When the next try is due; Infinity while none is. */
  at = Infinity;
  #named = false;
  #attempt = 0;
  #random;

  /** @param {() => number} random */
  constructor(random) {
    this.#random = random;
  }

  /** @returns {boolean} whether a try waits that a sign of a better network may bring forward */
  get hasty() {
    return this.at < Infinity && !this.#named;
  }

  /**
   * @param {{afterMs: number, named: boolean, atOnce: boolean, livedMs: number}} loss `afterMs`: 0 where no time is known; `named` by the edge,
   *   rather than guessed by the tab that holds the connection; `livedMs` of the connection that was lost
   * @param {number} now
   * @returns {number} ms until the try
   */
  plan({ afterMs, named, atOnce, livedMs }, now) {
    if (livedMs >= FORGIVEN_AFTER_MS) this.#attempt = 0;
    const wait = afterMs > 0 ? afterMs : atOnce ? 0 : backoff(this.#attempt++, this.#random);
    this.#named = named;
    this.at = now + wait;
    return wait;
  }

  begun() {
    this.at = Infinity;
    this.#named = false;
  }
}
