// The channels of one client: opened, recovered and followed by position, over whatever connection there is.

import { ERROR_CODES } from "../protocol.gen.js";
import { backoff } from "./backoff.js";
import { isTemporary } from "./codes.js";
import { judge, resume } from "./position.js";

/**
 * @import { Position, Publication, PositionFrame, Subscribed, Subscription, Unsubscribed, Error as ErrorFrame } from "../protocol.gen.js"
 * @import { ChannelState, Effect, Reason } from "./effects.js"
 */

const ASKED_BY_CONNECT = 0;

/** One channel. `position` is what this client has applied; it survives every connection. */
class Channel {
  /** @type {ChannelState} */
  state = "subscribing";
  /** @type {Position | null} */
  position = null;
  /** @type {number | null} the request that is under way on this connection */
  asked = null;
  mending = false; // asked again because of a gap
  retryAt = Infinity;
  failures = 0;

  /**
   * @param {string} name
   * @param {boolean} wanted by the application; otherwise the router opened it
   * @param {number | null} last how many publications to begin with, where there is no position
   */
  constructor(name, wanted, last) {
    this.name = name;
    this.wanted = wanted;
    this.last = last;
  }
}

export class Channels {
  /** @type {Map<string, Channel>} */
  #channels = new Map();
  /** @type {Record<string, Position>} positions of an earlier life of the page */
  #saved = {};
  #random;
  #nextId;

  counters = { applied: 0, duplicates: 0, gaps: 0, resets: 0 };

  /**
   * @param {() => number} random
   * @param {() => number} nextId of requests on the wire
   */
  constructor(random, nextId) {
    this.#random = random;
    this.#nextId = nextId;
  }

  /** When to call `retry` next. */
  get deadline() {
    return Math.min(Infinity, ...Array.from(this.#channels.values(), (each) => each.retryAt));
  }

  /** @returns {Record<string, Position>} */
  get positions() {
    /** @type {Record<string, Position>} */
    const positions = {};
    for (const { name, position } of this.#channels.values()) if (position) positions[name] = position;
    return positions;
  }

  /** @param {string} name */
  state(name) {
    return this.#channels.get(name)?.state ?? "unsubscribed";
  }

  /** @param {Record<string, Position>} positions */
  restore(positions) {
    this.#saved = positions;
    for (const channel of this.#channels.values()) channel.position ??= positions[channel.name] ?? null;
  }

  /**
   * @param {string} name
   * @param {{position?: Position | undefined, last?: number | undefined}} options for a channel that is not open yet
   */
  want(name, { position, last }) {
    const known = this.#channels.get(name);
    if (known) {
      known.wanted = true;
      return;
    }
    const channel = new Channel(name, true, last ?? null);
    channel.position = position ?? this.#saved[name] ?? null;
    this.#channels.set(name, channel);
  }

  /**
   * @param {string} name
   * @returns {object[]} frames to send
   */
  drop(name) {
    const channel = this.#channels.get(name);
    this.#channels.delete(name);
    delete this.#saved[name];
    const open = channel && (channel.asked !== null || channel.state === "subscribed");
    return open ? [{ type: "unsubscribe", id: this.#nextId(), channel: name }] : [];
  }

  /** @returns {Record<string, Position | null>} the `channels` of a `connect` frame */
  connect() {
    /** @type {Record<string, Position | null>} */
    const asked = {};
    for (const channel of this.#channels.values()) {
      const bySubscribe = channel.position === null && channel.last !== null;
      channel.asked = bySubscribe ? null : ASKED_BY_CONNECT;
      channel.retryAt = Infinity;
      if (!bySubscribe) asked[channel.name] = channel.position;
    }
    return asked;
  }

  /** The connection is gone; positions stay. */
  lost() {
    for (const channel of this.#channels.values()) {
      channel.asked = null;
      channel.mending = false;
      channel.retryAt = Infinity;
      channel.state = "subscribing";
    }
  }

  /**
   * @param {Record<string, Subscription>} subscriptions the `channels` of a `connected` frame
   * @param {number} now
   * @param {Effect[]} out
   */
  connected(subscriptions, now, out) {
    for (const [name, subscription] of Object.entries(subscriptions ?? {})) this.subscribed({ channel: name, ...subscription }, now, out);
    for (const channel of this.#channels.values()) if (channel.asked === ASKED_BY_CONNECT) channel.asked = null;
  }

  /** @returns {object[]} `subscribe` frames for channels that this connection was not asked for */
  ask() {
    const waiting = Array.from(this.#channels.values()).filter((each) => each.asked === null && each.state === "subscribing");
    return waiting.filter((each) => each.retryAt === Infinity).map((each) => this.#subscribe(each));
  }

  /**
   * @param {number} now
   * @returns {object[]} frames for channels whose next try is due
   */
  retry(now) {
    const due = Array.from(this.#channels.values()).filter((each) => each.retryAt <= now);
    return due.map((each) => this.#subscribe(each));
  }

  /**
   * @param {Omit<Subscribed, "type">} frame
   * @param {number} now
   * @param {Effect[]} out
   */
  subscribed(frame, now, out) {
    const { channel: name, error } = frame;
    const channel = this.#channels.get(name) ?? new Channel(name, false, null);
    if (error) return this.#refused(channel, error, undefined, now, out);
    this.#channels.set(name, channel);
    const { position, reset } = resume(channel.position, frame);
    channel.position = position;
    channel.asked = null;
    channel.mending = false;
    channel.retryAt = Infinity;
    this.#change(channel, "subscribed", null, out);
    if (reset) {
      this.counters.resets += 1;
      out.push({ type: "reset", channel: name });
    }
    for (const each of frame.publications ?? []) this.#take(channel, each, true, now, out);
  }

  /**
   * @param {Publication | PositionFrame} frame
   * @param {number} now
   * @param {Effect[]} out
   */
  follow(frame, now, out) {
    const channel = this.#channels.get(frame.channel ?? "");
    if (channel) this.#take(channel, frame, false, now, out);
  }

  /**
   * @param {Unsubscribed} frame
   * @param {Effect[]} out
   */
  unsubscribed({ channel: name, code, slug, reason }, out) {
    const channel = this.#channels.get(name);
    if (!channel || channel.asked !== null) return;
    channel.position = null; // who comes back later receives from then on
    this.#change(channel, "unsubscribed", { code, slug, message: reason }, out);
    if (!channel.wanted) this.#channels.delete(name);
  }

  /**
   * @param {ErrorFrame} frame
   * @param {number} now
   * @param {Effect[]} out
   * @returns {"taken" | "lost" | null} lost: the edge holds the channel open and will not open it from our position on this connection;
   *   null: the request was none of ours
   */
  failed(frame, now, out) {
    const channel = Array.from(this.#channels.values()).find((each) => each.asked === frame.id && frame.id !== undefined);
    if (!channel) return null;
    if (frame.code === ERROR_CODES.already_subscribed) {
      channel.asked = null; // the edge opened it by itself meanwhile, and says so in a frame of its own
      return channel.mending ? "lost" : "taken";
    }
    this.#refused(channel, frame, frame.retry_ms, now, out);
    return "taken";
  }

  /** @param {Channel} channel */
  #subscribe(channel) {
    channel.asked = this.#nextId();
    channel.retryAt = Infinity;
    const { name, position, last } = channel;
    return { type: "subscribe", id: channel.asked, channel: name, ...(position ? { position } : last !== null ? { last } : {}) };
  }

  /**
   * @param {Channel} channel
   * @param {Reason} error
   * @param {number | undefined} retryMs
   * @param {number} now
   * @param {Effect[]} out
   */
  #refused(channel, { code, slug, message }, retryMs, now, out) {
    channel.asked = null;
    if (isTemporary(code)) {
      channel.retryAt = now + (retryMs ?? backoff(channel.failures++, this.#random));
      return;
    }
    channel.position = null;
    this.#change(channel, "refused", { code, slug, message }, out);
    if (!channel.wanted) this.#channels.delete(channel.name);
  }

  /**
   * @param {Channel} channel
   * @param {Publication | PositionFrame} frame
   * @param {boolean} recovered
   * @param {number} now
   * @param {Effect[]} out
   */
  #take(channel, frame, recovered, now, out) {
    const { offset, prev } = frame;
    if (channel.position && offset != null) {
      const verdict = judge(channel.position.offset, { offset, prev: prev ?? 0 });
      if (verdict === "duplicate") {
        if (frame.type !== "position") this.counters.duplicates += 1;
        return;
      }
      if (verdict === "gap") return this.#gap(channel, now, out);
      channel.position = { epoch: channel.position.epoch, offset };
      channel.failures = 0;
    }
    if (frame.type === "position") return;
    this.counters.applied += 1;
    out.push({ type: "publication", publication: { ...frame, type: "publication", channel: channel.name }, recovered });
  }

  /**
   * @param {Channel} channel
   * @param {number} now
   * @param {Effect[]} out
   */
  #gap(channel, now, out) {
    if (channel.asked !== null || channel.retryAt < Infinity) return;
    this.counters.gaps += 1;
    // The first gap is mended at once; one that the edge did not mend must not become a storm.
    channel.mending = true;
    if (channel.failures++ === 0) out.push({ type: "send", frames: [this.#subscribe(channel)] });
    else channel.retryAt = now + backoff(channel.failures, this.#random);
  }

  /**
   * @param {Channel} channel
   * @param {ChannelState} state
   * @param {Reason | null} error
   * @param {Effect[]} out
   */
  #change(channel, state, error, out) {
    if (channel.state === state && error === null) return;
    channel.state = state;
    out.push({ type: "channel", channel: channel.name, state, error });
  }
}
