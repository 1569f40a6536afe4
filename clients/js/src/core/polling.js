// A session's conversation spelt as long-polls: what to ask next, and what the answers mean as frames.

import * as LIMITS from "../limits.gen.js";

/**
 * @import { Connected, EdgeFrame, PollReply, Position, Subscription } from "../protocol.gen.js"
 *
 * @typedef {{channels: Record<string, Position | null>, wait: number, limit: number}} PollBody
 */

export const GRACE_S = 10; // for an answer to travel
const LIMIT = LIMITS.HISTORY_LIMIT; // publications in one answer; the rest come with the next, at once

/** The state of one polling session: which channels, from which positions. A poll that is cut short loses nothing. */
export class Polling {
  /** @type {Map<string, Position | null>} */
  #channels = new Map();
  /** @type {Map<string, number>} by channel, the request to open it that is not answered yet */
  #opening = new Map();
  #connectId = 0;
  #session;

  /** @param {string} session a name for logs: to the edge every poll is a stranger */
  constructor(session) {
    this.#session = session;
  }

  /** @param {{id: number, channels: Record<string, Position | null>}} frame */
  connect({ id, channels }) {
    this.#connectId = id;
    this.#channels = new Map(Object.entries(channels));
  }

  /** @param {{id: number, channel: string, position?: Position}} frame */
  subscribe({ id, channel, position }) {
    this.#channels.set(channel, position ?? null);
    this.#opening.set(channel, id);
  }

  /** @param {string} channel */
  unsubscribe(channel) {
    this.#channels.delete(channel);
    this.#opening.delete(channel);
  }

  /** @returns {PollBody} the next poll; it waits for news unless an answer is owed */
  get body() {
    const owing = this.#connectId > 0 || this.#opening.size > 0;
    return { channels: Object.fromEntries(this.#channels), wait: owing ? 0 : LIMITS.POLL_WAIT_S, limit: LIMIT };
  }

  /**
   * Read the answer to the poll `asked` as the frames that a socket would have carried.
   *
   * @param {PollBody} asked
   * @param {PollReply} reply
   * @returns {EdgeFrame[]} none: the edge waited in vain, or merely announced an ephemeral channel again
   */
  answer(asked, reply) {
    const opened = this.#opened(asked, reply);
    /** @type {EdgeFrame[]} */
    const frames = [];
    for (const frame of /** @type {EdgeFrame[]} */ (reply.frames)) {
      if (frame.type === "subscribed" && frame.error) this.#channels.delete(frame.channel);
      if (frame.type === "unsubscribed") this.#channels.delete(frame.channel);
      if (frame.type === "subscribed") {
        const subscription = opened.get(frame.channel);
        if (subscription) Object.assign(subscription, frame, { publications: subscription.publications });
        else if (frame.epoch || frame.error) frames.push(frame);
      } else if (frame.type === "publication") (opened.get(frame.channel ?? "")?.publications ?? frames).push(frame);
      else frames.push(frame);
    }
    return [...this.#openings(opened), ...frames, ...this.#advance(asked, reply)];
  }

  /**
   * @param {PollBody} asked
   * @param {PollReply} reply
   * @returns {Map<string, Subscription & {publications: EdgeFrame[]}>} what this answer opens; unless it says otherwise, a channel
   *   asked from a position is proved complete
   */
  #opened(asked, reply) {
    const names = this.#connectId > 0 ? [...Object.keys(asked.channels), ...Object.keys(reply.channels)] : [...this.#opening.keys()];
    const opened = new Map();
    for (const name of names) {
      const from = asked.channels[name];
      const subscription = from ? { ...from, recovered: true } : {};
      if (this.#connectId > 0 || name in asked.channels) opened.set(name, { ...subscription, publications: [] });
    }
    return opened;
  }

  /**
   * @param {Map<string, Subscription>} opened
   * @returns {EdgeFrame[]}
   */
  #openings(opened) {
    if (this.#connectId > 0) {
      const id = this.#connectId;
      this.#connectId = 0;
      const terms = { session: this.#session, user: "", expires_in: 0, ping: LIMITS.POLL_WAIT_S, pong: GRACE_S };
      return [/** @type {Connected} */ ({ type: "connected", id, ...terms, channels: Object.fromEntries(opened) })];
    }
    return Array.from(opened, ([channel, subscription]) => {
      const id = this.#opening.get(channel) ?? 0;
      this.#opening.delete(channel);
      return { ...subscription, type: "subscribed", id, channel };
    });
  }

  /**
   * Go on from where the answer says; what lies beyond its last publication was not for this user's eyes.
   *
   * @param {PollBody} asked
   * @param {PollReply} reply
   * @returns {EdgeFrame[]}
   */
  #advance(asked, reply) {
    /** @type {Map<string, number>} */
    const applied = new Map(Object.entries(asked.channels).map(([name, from]) => [name, from?.offset ?? 0]));
    for (const frame of /** @type {EdgeFrame[]} */ (reply.frames)) {
      if ((frame.type === "subscribed" || frame.type === "publication") && frame.channel && frame.offset != null) applied.set(frame.channel, frame.offset);
    }
    /** @type {EdgeFrame[]} */
    const frames = [];
    for (const [channel, position] of Object.entries(reply.channels)) {
      if (channel in asked.channels && !this.#channels.has(channel)) continue; // refused, or given up meanwhile
      if (this.#opening.has(channel)) continue; // asked anew meanwhile, from another position
      this.#channels.set(channel, position);
      const prev = applied.get(channel);
      if (position && prev !== undefined && position.offset > prev) frames.push({ type: "position", channel, offset: position.offset, prev });
    }
    return frames;
  }
}
