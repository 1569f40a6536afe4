// One subscription, as the application holds it: with handlers, or to be iterated over.

import { checkHandler } from "./checks.js";
import { Emitter } from "./emitter.js";
import { Pending } from "./pending.js";

/**
 * @import { Position, Publication } from "./protocol.gen.js"
 * @import { ChannelState, Reason } from "./core/effects.js"
 * @import { Whimbrel } from "./client.js"
 *
 * @typedef {Publication & {channel: string}} ChannelPublication
 * @typedef {(publication: ChannelPublication, how: {recovered: boolean}) => void} Handler `recovered`: read from history when the
 *   channel was opened, rather than heard live
 *
 * @typedef {object} SubscribeOptions
 * @property {Handler} [publication] called once for each publication, in order
 * @property {() => void} [reset] publications may be missing: reload what they would have told
 * @property {(change: {state: ChannelState, error: Reason | null}) => void} [state]
 * @property {Position} [position] recover from here: what the application has seen already
 * @property {number} [last] begin with that many of the most recent publications, when there is no position (0–200)
 *
 * @typedef {{user: string, info?: unknown}} Member
 */

/**
 * What `subscribe` returns.
 *
 * @extends {Emitter<{reset: void, state: {state: ChannelState, error: Reason | null}, join: Member, leave: Member}>}
 */
export class Subscription extends Emitter {
  #client;
  #handler;
  /** @type {Set<Pending<ChannelPublication>>} one for each loop over this subscription */
  #loops = new Set();
  /** @type {Pending<ChannelPublication> | null} for the first loop: what came before it, where no handler took it */
  #early = null;
  /** @type {{state: ChannelState, error: Reason | null}} */
  #told = { state: "subscribing", error: null };
  #ended = false; // for good: it hears nothing, and a loop over it ends with what it has

  /**
   * @internal
   * @param {Whimbrel} client
   * @param {string} channel
   * @param {SubscribeOptions} options
   */
  constructor(client, channel, { publication, reset, state }) {
    super();
    if (publication === undefined) this.#loops.add((this.#early = new Pending()));
    else checkHandler("publications", publication);
    this.#client = client;
    this.channel = channel;
    this.#handler = publication;
    if (reset !== undefined) this.on("reset", reset);
    if (state !== undefined) this.on("state", state);
  }

  /** Whether the channel is open. */
  get state() {
    return this.#client.channelState(this.channel);
  }

  /** What was applied so far; null before the channel is open, and in an ephemeral channel. */
  get position() {
    return this.#client.positions[this.channel] ?? null;
  }

  /** Say that everything up to `offset` was handled: no device of this user begins before it again. @param {number} [offset] */
  ack(offset) {
    return this.#client.ack(this.channel, offset);
  }

  /** End it. The last one of a channel closes it. */
  unsubscribe() {
    this.#client.unsubscribe(this);
    this.end();
  }

  /**
   * Publications in order, from the first on where there is no handler, else from now on: `for await (const { event, data } of subscription)`.
   * Leaving the loop ends the subscription. A loop that is more than 1,000 publications behind ends with an error: what it missed, a new
   * subscription from its position brings.
   *
   * @returns {AsyncGenerator<ChannelPublication, void, void>}
   */
  async *[Symbol.asyncIterator]() {
    const pending = this.#early ?? new Pending();
    this.#early = null;
    if (this.#ended) pending.end();
    this.#loops.add(pending);
    try {
      yield* pending;
    } finally {
      this.#loops.delete(pending);
      this.unsubscribe();
    }
  }

  /** @internal @param {ChannelPublication} publication @param {{recovered: boolean}} how */
  take(publication, how) {
    for (const each of this.#loops) each.push(publication);
    this.#handler?.(publication, how);
  }

  /** The channel may be in another state: say so once. @internal @param {ChannelState} state @param {Reason | null} error */
  stands(state, error) {
    if (this.#ended || (state === this.#told.state && error?.code === this.#told.error?.code)) return;
    this.emit("state", (this.#told = { state, error }));
  }

  /** Nothing comes any more. @internal */
  end() {
    this.#ended = true;
    for (const each of this.#loops) each.end();
  }
}
