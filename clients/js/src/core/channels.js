// The channels of one client: opened, recovered and followed by position, over whatever connection there is.

import * as ERROR_CODES from "../error-codes.gen.js";
import { backoff } from "./backoff.js";
import { Channel } from "./channel.js";
import { isTemporary } from "./codes.js";
import { judge, resume } from "./position.js";

/**
 * @import { Position, Publication, PositionFrame, Ok, Subscribed, Subscription, Unsubscribed, Error as ErrorFrame } from "../protocol.gen.js"
 * @import { Way } from "./choice.js"
 * @import { ChannelState, Effect, Reason } from "./effects.js"
 */

const ASKED_BY_CONNECT = 0;

export class Channels {
  /** @type {Map<string, Channel>} */
  #channels = new Map();
  /** @type {Record<string, Position>} positions of an earlier life of the page */
  #saved = {};
  /** @type {Record<string, Position | null>} what the last `connect` asked for */
  #introduced = {};
  #random;
  #nextId;

  /** @type {Way} what carries the frames: a stream takes no `subscribe`, and neither a stream nor a poll knows `last` */
  carrier = "websocket";
  /** Only a stream that is opened anew carries all that is wanted. */
  stale = false;
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
      if (known.state !== "subscribed") known.state = "subscribing"; // refused before: asked again
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
    return open && this.carrier !== "sse" ? [{ type: "unsubscribe", id: this.#nextId(), channel: name }] : [];
  }

  /** @returns {Record<string, Position | null>} the `channels` of a `connect` frame */
  connect() {
    this.stale = false;
    const named = Array.from(this.#channels.values()).filter(({ position, last }) => position || !last);
    return (this.#introduced = Object.fromEntries(named.map(({ name, position }) => [name, position])));
  }

  /** The connection is gone, or another one was taken instead; positions stay. */
  lost() {
    this.stale = false;
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
   * @returns {object[]} frames that give up again what is not wanted any more
   */
  connected(subscriptions, now, out) {
    const unwanted = [];
    for (const [name, subscription] of Object.entries(subscriptions ?? {})) {
      const channel = this.#channels.get(name);
      if (name in this.#introduced && !channel) unwanted.push({ type: "unsubscribe", id: this.#nextId(), channel: name });
      else if (!channel?.outdates(this.#introduced[name])) this.#opened({ channel: name, ...subscription }, now, out);
    }
    for (const name in this.#introduced) {
      const channel = this.#channels.get(name);
      if (channel?.state !== "subscribing" || channel.retryAt < Infinity) continue;
      if (this.carrier === "sse") this.#later(channel, now); // a stream that did not bring it would be opened again and again
      if (this.carrier === "tabs") channel.asked = ASKED_BY_CONNECT; // it is opened by a frame of its own
    }
    return this.carrier === "sse" ? [] : unwanted;
  }

  /** @returns {object[]} frames for channels that this connection was not asked for */
  ask() {
    const waiting = Array.from(this.#channels.values()).filter((each) => each.asked === null && each.state === "subscribing");
    return waiting.filter((each) => each.retryAt === Infinity).flatMap((each) => this.#subscribe(each));
  }

  /**
   * @param {number} now
   * @returns {object[]} frames for channels whose next try is due
   */
  retry(now) {
    const due = Array.from(this.#channels.values()).filter((each) => each.retryAt <= now);
    return due.flatMap((each) => this.#subscribe(each));
  }

  /**
   * What a channel is to begin with was read.
   *
   * @param {Ok} answer
   * @param {number} now
   * @param {Effect[]} out
   * @returns {boolean} whether the request was one of ours
   */
  begun({ id, epoch, publications = [] }, now, out) {
    const channel = this.#asked(id);
    if (!channel) return false;
    channel.asked = channel.last = null;
    const [first] = publications;
    if (first && epoch) channel.position = { epoch, offset: first.prev ?? 0 };
    for (const each of publications) this.#take(channel, each, true, now, out);
    return true;
  }

  /**
   * While a channel is asked for from a position, only the answer counts.
   *
   * @param {Omit<Subscribed, "type">} frame
   * @param {number} now
   * @param {Effect[]} out
   */
  subscribed(frame, now, out) {
    const { asked = null, position, state } = this.#channels.get(frame.channel) ?? {};
    const stray = asked === null ? state === "subscribing" : asked !== (frame.id ?? ASKED_BY_CONNECT);
    if (!position || !stray) this.#opened(frame, now, out);
  }

  /**
   * @param {Omit<Subscribed, "type">} frame
   * @param {number} now
   * @param {Effect[]} out
   */
  #opened(frame, now, out) {
    const { channel: name, error, id } = frame;
    if (id && !this.#channels.has(name)) return; // asked for, and given up before the answer came
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
      channel.resetTo = position?.offset ?? 0;
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
    // What comes before the channel is open belongs to an earlier subscription, which a stream carries on until the next.
    if (channel?.state === "subscribed") this.#take(channel, frame, "recovered" in frame && frame.recovered === true, now, out);
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
    const channel = this.#asked(frame.id);
    if (!channel) return null;
    if (frame.code === ERROR_CODES.already_subscribed) {
      channel.asked = null; // the edge opened it by itself meanwhile, and says so in a frame of its own
      return channel.mending ? "lost" : "taken";
    }
    this.#refused(channel, frame, frame.retry_ms, now, out);
    return "taken";
  }

  /** @param {number | undefined} id */
  #asked(id) {
    return Array.from(this.#channels.values()).find((each) => each.asked === id && id !== undefined);
  }

  /** @param {Channel} channel @returns {object[]} none: only another stream can carry it */
  #subscribe(channel) {
    const { name, position, last } = channel;
    const reading = !position && Boolean(last) && (this.carrier === "sse" || this.carrier === "poll");
    channel.retryAt = Infinity;
    if (this.carrier === "sse" && !reading) {
      this.stale = true;
      return [];
    }
    const id = (channel.asked = this.#nextId());
    if (reading) return [{ type: "history", id, channel: name, limit: last }];
    return [{ type: "subscribe", id, channel: name, ...(position ? { position } : last !== null ? { last } : {}) }];
  }

  /** @param {Channel} channel @param {number} now */
  #later(channel, now) {
    channel.retryAt = now + backoff(channel.failures++, this.#random);
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
      if (retryMs) channel.retryAt = now + retryMs;
      else this.#later(channel, now);
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
    if (channel.mending || channel.asked !== null) return;
    this.counters.gaps += 1;
    // The first gap is mended at once; one that the edge did not mend must not become a storm.
    channel.mending = true;
    if (channel.failures === 0) {
      channel.failures = 1;
      const frames = this.#subscribe(channel);
      if (frames.length > 0) out.push({ type: "send", frames, next: false });
    } else this.#later(channel, now);
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
    out.push({ type: "channel", channel: channel.name, state, error, position: channel.position });
  }
}
