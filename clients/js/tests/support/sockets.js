// The sockets and event streams of an edge in memory.

/**
 * @import { Position } from "../../src/protocol.gen.js"
 * @import { Edge } from "./edge.js"
 *
 * @typedef {Record<string, any>} Frame
 */

export const LATENCY_MS = 5;

export class FakeSocket {
  readyState = 0;
  /** @type {Map<string, Frame>} */
  channels = new Map();
  onopen = () => {};
  /** @type {(event: {data: string}) => void} */
  onmessage = () => {};
  /** @type {(event: {code: number, reason: string}) => void} */
  onclose = () => {};

  /** @param {Edge} edge @param {string} url @param {string[]} protocols */
  constructor(edge, url, protocols) {
    this.edge = edge;
    this.url = url;
    this.protocols = protocols;
    edge.clock.setTimeout(() => this.#open(), LATENCY_MS);
  }

  #open() {
    if (this.readyState !== 0) return;
    if (!this.edge.reachable || !this.edge.upgrades) return this.break(1006, "");
    this.readyState = 1;
    this.edge.sockets.add(this);
    this.beat();
    this.onopen();
  }

  /** A heartbeat, every 25 s. */
  beat() {
    this.edge.clock.setTimeout(() => {
      if (this.readyState !== 1) return;
      this.live();
      this.beat();
    }, 25_000);
  }

  live() {
    this.say({ type: "ping" });
  }

  get talks() {
    return this.edge.answers;
  }

  /** @param {Frame} frame */
  say(frame) {
    if (!this.talks) return;
    this.edge.clock.setTimeout(() => this.readyState === 1 && this.edge.reachable && this.onmessage({ data: JSON.stringify(frame) }), LATENCY_MS);
  }

  /** @param {string} text */
  send(text) {
    const message = JSON.parse(text);
    this.edge.clock.setTimeout(() => {
      if (this.readyState !== 1 || !this.edge.reachable) return;
      for (const frame of Array.isArray(message) ? message : [message]) this.receive(frame);
    }, LATENCY_MS);
  }

  /** @param {Frame} frame */
  receive(frame) {
    const { edge } = this;
    switch (frame.type) {
      case "connect": {
        edge.received.push(frame);
        if (edge.refusal) return edge.disconnect(edge.refusal);
        /** @type {Frame} */
        const channels = {};
        const asked = { ...Object.fromEntries(edge.granted.map((each) => [each, null])), ...frame.channels };
        for (const [channel, position] of Object.entries(asked)) channels[channel] = this.#open_(channel, position);
        const limits = { frame_bytes: 65536, channels: 128, publish_per_s: 100 };
        return this.say({ type: "connected", id: frame.id, session: "s1", user: "alice", expires_in: edge.expiresIn, ping: 25, pong: 10, limits, channels, resume: "grant" });
      }
      case "subscribe":
        edge.received.push(frame);
        if (!edge.resyncs && this.channels.has(frame.channel)) {
          return this.say({ type: "error", id: frame.id, code: 104, slug: "already_subscribed", message: "open", temporary: false });
        }
        return this.say({ type: "subscribed", id: frame.id, channel: frame.channel, ...this.#open_(frame.channel, frame.position, frame.last) });
      case "unsubscribe":
        edge.received.push(frame);
        this.channels.delete(frame.channel);
        return;
      case "ping":
        return this.say({ type: "pong" });
      case "pong":
        return;
      default: {
        const reply = edge.command(frame);
        if (reply) this.say(reply);
      }
    }
  }

  /** @param {string} channel @param {Position | null} position @param {number} [last] */
  #open_(channel, position, last) {
    const subscription = this.edge.open(channel, position, last);
    if (!subscription.error) this.channels.set(channel, subscription);
    return subscription;
  }

  /** @param {number} code @param {string} reason */
  break(code, reason) {
    this.edge.sockets.delete(this);
    if (this.readyState === 3) return;
    this.readyState = 3;
    this.onclose?.({ code, reason });
  }

  close() {
    this.readyState = 3;
    this.edge.sockets.delete(this);
  }
}

/** An event stream: downwards only. */
export class FakeStream extends FakeSocket {
  /** @param {Edge} edge @param {(text: string) => void} write @param {() => void} cut */
  constructor(edge, write, cut) {
    super(edge, "", []);
    this.readyState = 1;
    this.onmessage = (/** @type {{data: string}} */ { data }) => write(`event: frame\ndata: ${data}\n\n`);
    this.onclose = cut;
    this.comment = () => write(":\n\n");
    this.beat();
  }

  /** @override */
  live() {
    if (this.talks && this.edge.reachable) this.comment();
  }

  /** @override */
  get talks() {
    return this.edge.streams;
  }
}
