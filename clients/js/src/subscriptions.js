// All subscriptions of one client, by channel.

/** @import { Subscription } from "./subscription.js" */

export class Subscriptions {
  /** @type {Map<string, Set<Subscription>>} */
  #all = new Map();
  #failed;

  /** @param {(channel: string, error: unknown) => void} failed hears what a handler threw */
  constructor(failed) {
    this.#failed = failed;
  }

  /** @param {(subscription: Subscription) => void} call */
  all(call) {
    for (const channel of [...this.#all.keys()]) this.each(channel, call);
  }

  /** @param {string} channel */
  has(channel) {
    return this.#all.has(channel);
  }

  /** @param {Subscription} subscription */
  add(subscription) {
    const others = this.#all.get(subscription.channel) ?? new Set();
    this.#all.set(subscription.channel, others.add(subscription));
  }

  /** @param {Subscription} subscription @returns {boolean} whether it was the last of its channel */
  remove(subscription) {
    const left = this.#all.get(subscription.channel);
    if (!left?.delete(subscription) || left.size > 0) return false;
    return this.#all.delete(subscription.channel);
  }

  /** @param {string} channel @param {(subscription: Subscription) => void} call */
  each(channel, call) {
    const all = this.#all.get(channel);
    // Those of now: a handler that ends one of them and begins another would be called for ever.
    for (const subscription of [...(all ?? [])]) {
      if (!all?.has(subscription)) continue;
      try {
        call(subscription);
      } catch (error) {
        // One handler's fault is its own: the others hear the publication, and it is not delivered again.
        this.#failed(channel, error);
      }
    }
  }
}
