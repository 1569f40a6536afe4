// An edge in memory, with the two transports in front of it: what it retains and how it answers is the contract's.

import { FakeSocket, FakeStream, LATENCY_MS } from "./sockets.js";

/**
 * @import { Position, Publication } from "../../src/protocol.gen.js"
 * @import { Clock } from "./clock.js"
 *
 * @typedef {{epoch: string, log: Publication[], retained: number}} History
 * @typedef {Record<string, any>} Frame
 */

export class Edge {
  /** @type {Map<string, History>} */
  #histories = new Map();
  /** @type {Set<FakeSocket>} */
  sockets = new Set();
  /** @type {Set<(frame: Frame) => void>} polls that wait for news */
  #waiting = new Set();
  #sequence = 0;

  /** What the tests turn. */
  reachable = true; // the network
  upgrades = true; // WebSockets get through
  streams = true; // event streams get through, rather than being held back
  /** @type {string[] | null} what GET /v1/transports tells; null: it does not answer */
  policy = null;
  intervalS = 0; // … and how far apart it wants polls
  asked = 0; // how often it was asked
  keepsPresence = true;
  retryAfterS = 0; // … and what it then says of the next time
  streamed = 0; // how often a stream was asked for
  answers = true; // … and something is said on them
  /** @type {Frame | null} how the next connect is refused */
  refusal = null;
  resyncs = true; // an open channel may be opened again, from a position
  drains = false; // polls are answered at once, with what there is
  expiresIn = 3600;
  granted = /** @type {string[]} */ ([]); // channels that the router opens by itself
  /** @type {Frame[]} all that clients sent, polls left out */
  received = [];
  polls = 0;
  ephemeral = new Set(["typing:board"]);
  forbidden = new Set(["secret:1"]);

  /** @param {Clock} clock */
  constructor(clock) {
    this.clock = clock;
  }

  /** @param {string} channel */
  history(channel) {
    const history = this.#histories.get(channel) ?? { epoch: "e1", log: [], retained: 0 };
    this.#histories.set(channel, history);
    return history;
  }

  /** @param {string} channel @param {unknown} data */
  publish(channel, data) {
    if (this.ephemeral.has(channel)) return this.#deliver({ type: "publication", channel, event: "test", event_id: "", time: "", data });
    const { log } = this.history(channel);
    const prev = log.at(-1)?.offset ?? 0;
    this.#sequence += 1 + (this.#sequence % 3); // offsets have holes
    /** @type {Publication} */
    const publication = { type: "publication", event: "test", event_id: `id-${this.#sequence}`, time: "2026-01-01T00:00:00Z", data, offset: this.#sequence, prev };
    log.push(publication);
    this.#deliver({ ...publication, channel });
  }

  /** All that was retained is gone, as after a restore. @param {string} channel */
  loseHistory(channel) {
    this.#histories.set(channel, { epoch: "e2", log: [], retained: 0 });
  }

  /** What is older than the last `count` is gone. @param {string} channel @param {number} count */
  trim(channel, count) {
    const history = this.history(channel);
    history.log.splice(0, history.log.length - count);
  }

  /** @param {Frame} frame */
  #deliver(frame) {
    for (const socket of this.sockets) if (socket.channels.has(frame.channel)) socket.say(frame);
    for (const wake of this.#waiting) wake(frame);
  }

  /** Every socket breaks without a word. */
  cut() {
    for (const socket of [...this.sockets]) socket.break(1006, "");
  }

  /** @param {Frame} disconnect */
  disconnect(disconnect) {
    for (const socket of [...this.sockets]) {
      socket.say({ type: "disconnect", slug: "", reason: "", reconnect: disconnect.code < 4500, after_ms: 0, ...disconnect });
      this.clock.setTimeout(() => socket.break(disconnect.code, ""), LATENCY_MS);
    }
  }

  /** Ask for a move, and serve on. @param {number} afterMs */
  leave(afterMs) {
    for (const socket of this.sockets) socket.say({ type: "disconnect", code: 4000, slug: "draining", reason: "", reconnect: true, after_ms: afterMs });
  }

  /**
   * @param {string} channel
   * @param {Position | null | undefined} position
   * @param {number} [last]
   * @returns {Frame} a subscription
   */
  open(channel, position, last = 0) {
    if (this.forbidden.has(channel)) return { error: { code: 103, slug: "permission_denied", message: "no" } };
    if (this.ephemeral.has(channel)) return { publications: [] };
    const { epoch, log } = this.history(channel);
    const head = log.at(-1)?.offset ?? this.#sequence;
    if (!position) {
      const publications = last > 0 ? log.slice(-last) : [];
      return { epoch, offset: publications[0]?.prev ?? head, publications };
    }
    const complete = position.epoch === epoch && (log[0]?.prev ?? 0) <= position.offset;
    if (!complete) return { epoch, offset: head, recovered: false, publications: [] };
    return { epoch, offset: position.offset, recovered: true, publications: log.filter((each) => (each.offset ?? 0) > position.offset) };
  }

  /** @param {Frame} frame @returns {Frame | null} */
  command(frame) {
    this.received.push(frame);
    if (frame.type === "publish") {
      this.publish(frame.channel, frame.data);
      return { type: "ok", id: frame.id, ...(this.ephemeral.has(frame.channel) ? {} : { offset: this.#sequence }) };
    }
    if (frame.type === "history") {
      const { epoch, log } = this.history(frame.channel);
      return { type: "ok", id: frame.id, epoch, publications: log.slice(-(frame.limit ?? 200)) };
    }
    if (frame.type === "presence" && !this.keepsPresence) return { type: "error", id: frame.id, code: 108, slug: "unavailable", message: "presence is not kept yet", temporary: true };
    if (frame.type === "presence") return { type: "ok", id: frame.id, users: [{ user: "alice" }] };
    if (frame.type === "inbox") {
      const { epoch, log } = this.history("inbox");
      return { type: "ok", id: frame.id, epoch, read: 0, unread: log.length, complete: true, publications: log.slice(-(frame.limit ?? 200)) };
    }
    if (frame.type === "ack") return { type: "ok", id: frame.id, offset: frame.offset };
    if (frame.type === "refresh") return { type: "ok", id: frame.id, expires_in: this.expiresIn };
    return { type: "error", id: frame.id, code: 107, slug: "bad_request", message: "unknown", temporary: false };
  }

  /** @type {(input: string, init: RequestInit) => Promise<Response>} */
  fetch = async (input, init) => {
    const signal = init.signal ?? new AbortController().signal;
    await this.#after(LATENCY_MS, signal);
    if (!this.reachable) throw new TypeError("Failed to fetch");
    if (input.endsWith("/v1/transports")) {
      this.asked += 1;
      return this.policy ? json({ transports: this.policy, poll: { interval: this.intervalS } }) : problem({ status: 503 }, this.retryAfterS);
    }
    if (input.endsWith("/v1/sse")) return this.#stream(JSON.parse(String(init.body)), signal);
    const body = JSON.parse(String(init.body));
    if (input.endsWith("/v1/commands")) return json({ frames: body.frames.map((/** @type {Frame} */ each) => this.command(each)).filter(Boolean) });
    this.polls += 1;
    if (this.refusal) return problem(this.refusal);
    const until = this.clock.now() + (this.drains ? 0 : body.wait * 1000);
    let reply = this.#poll(body);
    while (reply.frames.length === 0 && this.clock.now() < until) {
      const heard = await this.#news(until - this.clock.now(), signal);
      reply = this.#poll(body);
      if (heard && heard["channel"] in body.channels && this.ephemeral.has(heard["channel"])) reply.frames.push(heard);
    }
    await this.#after(LATENCY_MS, signal);
    if (!this.reachable) throw new TypeError("Failed to fetch");
    return json(reply);
  };

  /** @param {Frame} connect @param {AbortSignal} signal */
  #stream(connect, signal) {
    this.streamed += 1;
    if (this.refusal) return problem(this.refusal);
    /** @type {ReadableStreamDefaultController<Uint8Array>} */
    let out;
    const body = new ReadableStream({ start: (controller) => void (out = controller) });
    const socket = new FakeStream(this, (text) => out.enqueue(new TextEncoder().encode(text)), () => out.error(new TypeError("cut")));
    signal.addEventListener("abort", () => socket.close());
    this.sockets.add(socket);
    socket.receive(connect);
    return new Response(body, { headers: { "content-type": "text/event-stream" } });
  }

  /** @param {{channels: Record<string, Position | null>, limit: number}} body */
  #poll({ channels: asked, limit }) {
    /** @type {Frame[]} */
    const frames = [];
    /** @type {Record<string, Position | null>} */
    const channels = {};
    for (const [channel, position] of Object.entries(asked)) {
      if (position?.epoch === "ephemeral") {
        channels[channel] = position;
        continue;
      }
      const { publications = [], ...subscription } = this.open(channel, position);
      if (!position || subscription.recovered === false) frames.push({ type: "subscribed", channel, ...subscription });
      if (subscription.error) continue;
      const sent = publications.slice(0, limit);
      frames.push(...sent.map((/** @type {Publication} */ each) => ({ ...each, channel })));
      const offset = sent.at(-1)?.offset ?? subscription["offset"];
      channels[channel] = subscription["epoch"] ? { epoch: subscription["epoch"], offset } : { epoch: "ephemeral", offset: 0 };
    }
    return { frames, channels };
  }

  /** @param {number} ms @param {AbortSignal} signal */
  #after(ms, signal) {
    return new Promise((resolve, reject) => {
      this.clock.setTimeout(() => resolve(undefined), ms);
      signal.addEventListener("abort", () => reject(signal.reason));
      if (signal.aborted) reject(signal.reason);
    });
  }

  /** @param {number} ms @param {AbortSignal} signal @returns {Promise<Frame | undefined>} */
  async #news(ms, signal) {
    /** @type {(frame: Frame) => void} */
    let wake = () => {};
    const news = new Promise((resolve) => this.#waiting.add((wake = resolve)));
    return Promise.race([news, this.#after(ms, signal)]).finally(() => this.#waiting.delete(wake));
  }

  /** What the client takes from its surroundings. */
  get host() {
    const edge = this;
    const WebSocket = /** @type {any} */ (
      class extends FakeSocket {
        /** @param {string} url @param {string[]} protocols */
        constructor(url, protocols) {
          super(edge, url, protocols);
        }
      }
    );
    const { now, setTimeout, clearTimeout } = this.clock;
    return { now, setTimeout, clearTimeout, random: () => 0.5, fetch: this.fetch, WebSocket, page: new EventTarget() };
  }
}

/** @param {object} body */
function json(body) {
  return new Response(JSON.stringify(body), { headers: { "content-type": "application/json" } });
}

/** @param {Frame} refusal @param {number} [retryAfterS] 0: it does not say */
function problem({ status = 503, ...body }, retryAfterS = 0) {
  return new Response(JSON.stringify(body), { status, headers: { "content-type": "application/problem+json", ...(retryAfterS && { "retry-after": String(retryAfterS) }) } });
}
