// The client's conversation with the edge: its channels and requests, over whatever connection there is.

import { Channels } from "./channels.js";
import * as codes from "./codes.js";
import { Connection } from "./connection.js";
import { Requests } from "./requests.js";

/**
 * @import { Connected, EdgeFrame, Error as ErrorFrame, Position } from "../protocol.gen.js"
 * @import { Terms } from "./terms.js"
 * @import { Effect } from "./effects.js"
 */

export class Session extends Connection {
  user = "";
  id = "";
  connects = 0;
  #identity;
  #lastId = 0;
  #connectId = 0;
  #refreshId = 0;
  #requests = new Requests();

  /** @param {Terms & {identity: {client: string, device?: string}}} terms `identity` is sent with every `connect` */
  constructor({ identity, ...terms }) {
    super(terms);
    this.#identity = identity;
    this.channels = new Channels(terms.random, () => ++this.#lastId);
  }

  /** @override */
  get deadline() {
    if (this.state === "closed") return Infinity;
    const reading = this.state === "connected" ? this.channels.deadline : Infinity;
    return this.stale && !this.route.next && this.state === "connected" ? 0 : Math.min(super.deadline, this.#requests.deadline, reading);
  }

  // --- from the application

  /**
   * @param {string} channel
   * @param {{position?: Position | undefined, last?: number | undefined}} options
   */
  subscribe(channel, options) {
    this.channels.want(channel, options);
    this.#ask();
    return this.effects();
  }

  /** @param {string} channel */
  unsubscribe(channel) {
    const frames = this.channels.drop(channel);
    if (this.state === "connected") this.send(frames);
    return this.effects();
  }

  /**
   * Ask the edge for something; it is asked again after a reconnect, until the time is up.
   *
   * @param {{type: string}} frame without its id
   * @param {number} now
   * @param {number} [timeoutMs]
   * @returns {{id: number, effects: Effect[]}} the reply comes as a `settle` or `fail` effect with this id
   */
  request({ type, ...fields }, now, timeoutMs) {
    const id = ++this.#lastId;
    const frame = { type, id, ...fields };
    if (this.#requests.add(frame, now, this.out, timeoutMs)) {
      if (this.state === "closed") this.#requests.abandon("the client is closed", this.out);
      this.#ask();
    }
    return { id, effects: this.effects() };
  }

  /** Forget what was asked and not answered: whoever asked asks again. */
  forget() {
    this.#requests.forget();
  }

  // --- from the host

  /** @override @param {number} now */
  tick(now) {
    this.#requests.expire(now, this.out);
    if (this.state === "connected") this.send(this.channels.retry(now));
    this.#ask();
    return super.tick(now);
  }

  // --- on the connection

  /** @override @param {boolean} next */
  introduce(next) {
    const { token, resume } = this.credentials;
    const id = (this.#connectId = ++this.#lastId);
    const channels = { inbox: null, ...this.channels.connect() };
    this.send([{ type: "connect", id, token, ...this.#identity, ...(resume && { resume }), channels }], next);
  }

  /** @override @param {Connected} frame @param {number} now */
  welcomed(frame, now) {
    this.user = frame.user || this.user;
    this.id = frame.session;
    this.connects += 1;
    this.channels.carrier = this.transport;
    this.send(this.channels.connected(frame.channels, now, this.out));
    this.#ask();
  }

  /** @override */
  unlinked() {
    this.#refreshId = 0;
    this.channels.lost();
    this.#requests.lost();
  }

  /** @override @param {string} reason */
  ended(reason) {
    this.#requests.abandon(reason, this.out);
  }

  /** @override @param {string} token */
  renewed(token) {
    this.send([{ type: "refresh", id: (this.#refreshId = ++this.#lastId), token }]);
  }

  /** @override */
  get stale() {
    return this.channels.stale;
  }

  /** @override @param {EdgeFrame} frame @param {number} now */
  on(frame, now) {
    switch (frame?.type) {
      case "publication":
      case "position":
        return this.channels.follow(frame, now, this.out);
      case "subscribed":
        return this.channels.subscribed(frame, now, this.out);
      case "unsubscribed":
        return this.channels.unsubscribed(frame, this.out);
      case "join":
      case "leave":
      case "acked":
        this.out.push(frame);
        return;
      case "ok":
        if (frame.id === this.#refreshId) {
          this.#refreshId = 0;
          return this.credentials.accepted(frame.expires_in ?? 0, now);
        }
        if (!this.channels.begun(frame, now, this.out)) this.#requests.answered(frame, this.out);
        return this.#ask();
      case "error":
        this.#refused(frame, now);
        return this.state === "connected" ? this.send(this.#requests.next()) : undefined;
    }
  }

  /** Send what waits for its turn: channels to open, and requests. */
  #ask() {
    if (this.state === "connected") this.send([...this.channels.ask(), ...this.#requests.next()]);
  }

  /** @param {ErrorFrame} frame @param {number} now */
  #refused(frame, now) {
    if (frame.id === this.#connectId) this.fail(codes.ABNORMAL, frame.message, now);
    if (!frame.id || frame.id === this.#connectId || frame.id === this.#refreshId) return this.report(frame.code, frame.slug, frame.message);
    const outcome = this.channels.failed(frame, now, this.out);
    if (outcome === null) this.#requests.answered(frame, this.out);
    else if (outcome === "lost") this.fail(codes.GAP, "a gap that only a new connection can mend", now);
  }
}
