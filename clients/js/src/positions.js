// Positions that outlive the page, in a storage of the application's choice.

/**
 * @import { Position } from "./protocol.gen.js"
 * @import { Host } from "./transports/link.js"
 */

const SAVE_EVERY_MS = 250; // localStorage blocks the page while it writes

export class Positions {
  #storage;
  #prefix;
  #host;
  #key = "";
  /** @type {(() => Record<string, Position>) | null} */
  #unsaved = null;
  /** @type {any} */
  #timer = null;

  /**
   * @param {Pick<Storage, "getItem" | "setItem"> | null} storage
   * @param {string} base address of the edge
   * @param {Host} host
   */
  constructor(storage, base, host) {
    this.#storage = storage;
    this.#prefix = `whimbrel:positions:${base}`;
    this.#host = host;
  }

  /**
   * @param {string} subject whose positions: another user's would skip what this one has not seen
   * @returns {Record<string, Position>}
   */
  load(subject) {
    this.#key = `${this.#prefix}:${subject}`;
    try {
      return JSON.parse(this.#storage?.getItem(this.#key) ?? "{}");
    } catch {
      return {}; // unreadable: as if there were none
    }
  }

  /** @param {() => Record<string, Position>} positions asked when it is time to save */
  keep(positions) {
    if (!this.#storage || !this.#key) return;
    this.#unsaved = positions;
    this.#timer ??= this.#host.setTimeout(() => this.save(), SAVE_EVERY_MS);
  }

  save() {
    this.#host.clearTimeout(this.#timer);
    this.#timer = null;
    if (!this.#unsaved) return;
    try {
      this.#storage?.setItem(this.#key, JSON.stringify(this.#unsaved()));
    } catch {
      // full or forbidden: the next life of the page begins without positions
    }
    this.#unsaved = null;
  }
}
