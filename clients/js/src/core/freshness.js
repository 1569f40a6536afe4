// Which of two sources of a state is newer: what was fetched, or what was published.

/** @import { Position } from "../protocol.gen.js" */

/** @typedef {"newer" | "older" | "unknown"} Verdict */

/** What was applied so far. A version decides where there is one, then a position; else only that nothing came in between. */
export class Freshness {
  /** @type {any} */
  #version = undefined;
  /** @type {Position | null} */
  #position = null;
  /** How many publications were applied. */
  published = 0;

  /**
   * @param {{version: any, position: Position | null, since: number}} fetched `since`: how many publications were applied when it was asked for
   * @returns {Verdict}
   */
  ofFetched({ version, position, since }) {
    if (version !== undefined && this.#version !== undefined) return version < this.#version ? "older" : "newer";
    if (position && this.#position?.epoch === position.epoch) return position.offset < this.#position.offset ? "older" : "newer";
    return since === this.published ? "newer" : "unknown";
  }

  /** @param {{version: any, offset: number | null}} publication @returns {Verdict} */
  ofPublished({ version, offset }) {
    if (version !== undefined && this.#version !== undefined) return version > this.#version ? "newer" : "older";
    if (offset !== null && this.#position && offset <= this.#position.offset) return "older";
    return "newer";
  }

  /** It was applied. @param {{version: any, position: Position | null}} what */
  took({ version, position }) {
    if (version !== undefined) this.#version = version;
    if (position) this.#position = position;
  }

  /** The state is to be loaded anew, whatever came before. */
  forget() {
    this.#version = undefined;
    this.#position = null;
  }
}
