// The application's token provider: asked with patience, and held to one user.

import { checkedToken } from "./checks.js";
import { claimsOf } from "./core/token.js";

/**
 * @import { Options } from "./options.js"
 * @import { Host } from "./transports/link.js"
 */

const TIMEOUT_MS = 30_000; // one that hangs, as a request may on a network that goes away, must not hold the client up for good

export class Provider {
  /** @type {string | null} whose token it is: empty where it does not tell, null before the first */
  subject = null;
  #ask;
  #host;
  #signedIn;

  /** @param {Options["token"]} ask @param {Host} host @param {(subject: string) => void} signedIn the first token tells its user */
  constructor(ask, host, signedIn) {
    this.#ask = ask;
    this.#host = host;
    this.#signedIn = signedIn;
  }

  /** @returns {Promise<string | null>} null: nobody is signed in any more @throws {Error} where it is another user's: positions and channels are the first one's */
  async token() {
    const token = checkedToken(await this.#patiently());
    if (token === null) return null;
    const { sub = "" } = claimsOf(token);
    if (this.subject === null) this.#signedIn((this.subject = sub));
    else if (sub !== this.subject) throw new Error("it has a token of another user: close this client, and make a new one");
    return token;
  }

  async #patiently() {
    let timer;
    const late = new Promise((_, reject) => {
      timer = this.#host.setTimeout(() => reject(new Error(`no answer within ${TIMEOUT_MS / 1000} s`)), TIMEOUT_MS);
    });
    try {
      return await Promise.race([this.#ask(), late]);
    } finally {
      this.#host.clearTimeout(timer);
    }
  }
}
