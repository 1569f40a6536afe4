// The transport that worked, remembered for the page's session: what was found by trying need not be found again.

/** @import { Transport } from "./core/choice.js" */

export class Remembered {
  #session;
  #key;

  /** @param {Storage | undefined} session @param {string} base address of the edge */
  constructor(session, base) {
    this.#session = session;
    this.#key = `whimbrel:transport:${base}`;
  }

  /** @returns {Transport | null} */
  get transport() {
    return /** @type {Transport | null} */ (this.#session?.getItem(this.#key) ?? null);
  }

  /** @param {Transport} transport */
  keep(transport) {
    try {
      this.#session?.setItem(this.#key, transport);
    } catch {
      // full or forbidden: the next page finds out by trying
    }
  }
}
