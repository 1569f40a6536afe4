// The token and the resume grant: what the client shows the edge, and when it needs another one.

import { backoff } from "./backoff.js";
import { claimsOf } from "./token.js";

const MARGIN_MS = 15_000; // a token that ends within this long is not worth a connect

export class Credentials {
  /** @type {{text: string, until: number, accepted: boolean} | null} */
  #token = null;
  #asking = false;
  #failures = 0;
  #random;

  /** The opaque grant of the last `connected` or `resume` frame; empty before the first. */
  resume = "";
  /** The token says who the user is, and nobody else is shown it: it may be old. */
  idle = false;
  #lent = false;
  /** When to ask the provider: again after it failed, or because the token ends. */
  retryAt = Infinity;

  /** @param {() => number} random */
  constructor(random) {
    this.#random = random;
  }

  get token() {
    return this.#token?.text ?? "";
  }

  /** @param {number} now @returns {boolean} whether the token is good for a connect */
  ready(now) {
    return this.#token !== null && (this.idle || this.#token.until > now + MARGIN_MS);
  }

  /** @param {number} now @returns {string | null} a token that is still good, once */
  lend(now) {
    if (this.#lent || !this.#token || this.#token.until <= now + MARGIN_MS) return null;
    this.#lent = true;
    return this.#token.text;
  }

  /** @returns {boolean} whether the provider is to be asked now: one question at a time */
  ask() {
    this.retryAt = Infinity;
    if (this.#asking) return false;
    this.#asking = true;
    return true;
  }

  /**
   * @param {string | null} text
   * @param {number} now
   */
  received(text, now) {
    this.#asking = false;
    this.#failures = 0;
    this.#lent = false;
    this.#token = text ? { text, until: 0, accepted: false } : null;
    // How long it lives is read from its own two times: the clock of this machine may be wrong.
    const { exp = Infinity, iat = 0 } = claimsOf(text ?? "");
    if (text) this.#lasts(exp - iat, now);
  }

  failed() {
    this.#asking = false;
  }

  /** @param {number} now */
  retryLater(now) {
    this.retryAt = now + backoff(this.#failures++, this.#random);
  }

  /**
   * @param {number} expiresIn seconds; 0 where the transport cannot know
   * @param {number} now
   */
  accepted(expiresIn, now) {
    if (this.#token) this.#token.accepted = true;
    if (expiresIn > 0) this.#lasts(expiresIn, now);
  }

  /** @param {number} seconds @param {number} now */
  #lasts(seconds, now) {
    if (this.#token) this.#token.until = now + seconds * 1000;
    if (this.idle) return;
    // The edge gives notice earlier; where it cannot, the token is renewed all the same.
    this.retryAt = Math.max(now + MARGIN_MS, now + seconds * 1000 - MARGIN_MS);
  }

  /** @returns {boolean} whether a new token may fare better: this one was accepted before, so it has merely grown old */
  refused() {
    if (this.idle) return false; // another one was shown
    const worked = this.#token?.accepted ?? false;
    this.#token = null;
    return worked;
  }
}
