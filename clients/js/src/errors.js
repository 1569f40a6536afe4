// What a promise of this client is rejected with.

/** @import { Reason } from "./core/effects.js" */

/** A request failed. `code` is an error code of the contract (100–113), or one of this client's own (3000–3999). */
export class WhimbrelError extends Error {
  /** @internal @param {Reason} reason @param {ErrorOptions} [options] `cause`: what a handler threw */
  constructor({ code, slug, message, temporary = false }, options) {
    super(message, options);
    this.name = "WhimbrelError";
    /** @type {number} */
    this.code = code;
    /** @type {string} the name of the code */
    this.slug = slug;
    /** @type {boolean} whether the same request may succeed later */
    this.temporary = temporary;
  }
}

/** @param {unknown} thrown @returns {string} what it says, without the name of its class */
export function messageOf(thrown) {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
