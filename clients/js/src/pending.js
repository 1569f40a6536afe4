// Values that wait for the loop that reads them.

import * as ERROR_CODES from "./error-codes.gen.js";
import { WhimbrelError } from "./errors.js";

export const MAX_PENDING = 1_000; // a few hundred KiB; who is further behind than that will not catch up by waiting

/** @template T */
export class Pending {
  /** @type {T[]} */
  #values = [];
  #ended = false;
  #overrun = false;
  #wake = () => {};

  /** @param {T} value */
  push(value) {
    if (this.#values.length < MAX_PENDING) this.#values.push(value);
    else this.#overrun = this.#ended = true;
    this.#wake();
  }

  end() {
    this.#ended = true;
    this.#wake();
  }

  /** @returns {AsyncGenerator<T, void, void>} */
  async *[Symbol.asyncIterator]() {
    for (;;) {
      for (let value = this.#values.shift(); value !== undefined; value = this.#values.shift()) yield value;
      if (this.#overrun) throw new WhimbrelError({ code: ERROR_CODES.limit_exceeded, slug: "limit_exceeded", message: `the loop is ${MAX_PENDING} publications behind` });
      if (this.#ended) return;
      await new Promise((resolve) => (this.#wake = () => resolve(undefined)));
    }
  }
}
