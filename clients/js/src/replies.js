// Who asked waits for the reply.

import { WhimbrelError } from "./errors.js";

/**
 * @import { Ok } from "./protocol.gen.js"
 * @import { Fail, Settle } from "./core/effects.js"
 */

export class Replies {
  /** @type {Map<number, {resolve: (ok: Ok) => void, reject: (error: WhimbrelError) => void}>} by request */
  #waiting = new Map();

  /** @param {number} id @returns {Promise<Ok>} */
  to(id) {
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
  }

  /** @param {Settle | Fail} effect */
  hear(effect) {
    const who = this.#waiting.get(effect.id);
    this.#waiting.delete(effect.id);
    if (effect.type === "settle") who?.resolve(effect.ok);
    else who?.reject(new WhimbrelError(effect.error));
  }
}

/**
 * Whoever awaits it hears of the failure; where nobody does, it is no unhandled rejection, which would end a Node.js process.
 *
 * @template T
 * @param {Promise<T>} promise
 * @returns {Promise<T>}
 */
export function forgettable(promise) {
  promise.catch(() => {});
  return promise;
}
