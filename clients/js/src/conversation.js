// The shell of a session: carries out what it wants done with transports, time and tokens, and tells the rest.

import { messageOf } from "./errors.js";
import { openLink } from "./transports/open.js";
import { askAdvice } from "./transports/advice.js";

/**
 * @import { Way } from "./core/choice.js"
 * @import { Effect } from "./core/effects.js"
 * @import { Session } from "./core/session.js"
 * @import { Host, Link, LinkEvents, OpenLink } from "./transports/link.js"
 *
 * @typedef {object} Surroundings
 * @property {string} base address of the edge
 * @property {Host} host
 * @property {() => Promise<string | null>} token the application's provider
 * @property {(effect: Effect) => void} tell what concerns the application
 * @property {() => void} [done] all effects of one step are carried out
 * @property {OpenLink} [open] a transport; those of the network by default
 */

export class Conversation {
  #base;
  #host;
  #token;
  #tell;
  #done;
  #open;
  /** @type {Link | null} */
  #link = null;
  /** @type {Link | null} opened beside the one in use */
  #next = null;
  /** @type {Effect[]} */
  #queue = [];
  #performing = false;
  /** @type {any} */
  #timer = null;

  /** @param {Session} session @param {Surroundings} surroundings */
  constructor(session, { base, host, token, tell, done = () => {}, open = openLink }) {
    this.session = session;
    this.#base = base;
    this.#host = host;
    this.#token = token;
    this.#tell = tell;
    this.#done = done;
    this.#open = open;
  }

  /** @returns {number} milliseconds of the session's clock */
  get now() {
    return this.#host.now();
  }

  /**
   * Carry out effects in the order in which they arose: what a handler sets off waits until those before it are done.
   *
   * @param {readonly Effect[]} effects
   */
  perform(effects) {
    this.#queue.push(...effects);
    if (this.#performing) return;
    this.#performing = true;
    try {
      for (let effect = this.#queue.shift(); effect; effect = this.#queue.shift()) this.#carryOut(effect);
    } finally {
      this.#performing = false; // whatever the surroundings threw, the next step is carried out
      this.#done();
      this.#wind();
    }
  }

  /** Set the one timer to the session's next deadline. */
  #wind() {
    const { deadline } = this.session;
    this.#host.clearTimeout(this.#timer);
    if (deadline < Infinity) this.#timer = this.#host.setTimeout(() => this.perform(this.session.tick(this.now)), deadline - this.now);
  }

  /** @param {Effect} effect */
  #carryOut(effect) {
    switch (effect.type) {
      case "send":
        return (effect.next ? this.#next : this.#link)?.send(effect.frames);
      case "token":
        return void this.#askToken();
      case "advice":
        return void this.#askAdvice();
      case "open":
        this.#link = this.#opened(effect.transport);
        return;
      case "prepare":
        this.#next = this.#opened(effect.transport);
        return;
      case "take":
        this.#link?.close();
        this.#link = this.#next;
        this.#next = null;
        return;
      case "abandon":
        this.#next?.close();
        this.#next = null;
        return;
      case "drop":
        this.#link?.close();
        this.#next?.close();
        this.#link = this.#next = null;
        return;
      default:
        this.#tell(effect);
    }
  }

  async #askToken() {
    let text;
    try {
      text = await this.#token();
    } catch (error) {
      return this.perform(this.session.tokenFailed(`the token provider failed: ${messageOf(error)}`, this.now));
    }
    this.perform(this.session.token(text, this.now));
  }

  async #askAdvice() {
    const advice = await askAdvice(this.#base, this.session.credentials.token, this.#host);
    this.perform(this.session.advised(advice, this.now));
  }

  /** @param {Way} transport @returns {Link} */
  #opened(transport) {
    const { session } = this;
    const isNext = () => this.#next === link;
    const counts = () => this.#link === link || isNext();
    /** @type {LinkEvents} */
    const events = {
      opened: () => counts() && this.perform(isNext() ? session.prepared() : session.opened()),
      receive: (frames) => counts() && this.perform(isNext() ? session.met(frames, this.now) : session.receive(frames, this.now)),
      lost: (loss) => counts() && this.perform(isNext() ? session.stayed(this.now, loss.afterMs) : session.lost(loss, this.now)),
      restMs: () => session.route.restMs,
    };
    const link = this.#open(transport, this.#base, events, this.#host);
    return link;
  }
}
