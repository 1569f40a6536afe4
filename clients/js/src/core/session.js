// The client's conversation with the edge, over whatever transport: what happened and the time go in, effects come out.
//
//   disconnected ─retry→ connecting ─welcome→ connected ─lost→ disconnected          any ─end→ closed
//   connected ─move→ connecting, when the edge leaves: another transport is open already, and nobody outside is told
//
// Times are milliseconds of one clock. `deadline` says when to call `tick` next.

import { CLOSE_CODES } from "../protocol.gen.js";
import { Channels } from "./channels.js";
import { Choice } from "./choice.js";
import * as codes from "./codes.js";
import { Credentials } from "./credentials.js";
import { Liveness } from "./liveness.js";
import { Requests } from "./requests.js";
import { Retry } from "./retry.js";
import { step } from "./states.js";

/**
 * @import { Connected, EdgeFrame, Error as ErrorFrame, Position } from "../protocol.gen.js"
 * @import { Transport } from "./choice.js"
 * @import { ConnectionState, Effect } from "./effects.js"
 * @import { Cause } from "./states.js"
 *
 * @typedef {{code: number, reason: string, afterMs?: number, reconnect?: boolean}} Loss
 */

const MOVE_AGAIN_MS = 1_000; // between two tries to move from an edge that leaves
const PROBE_MS = 300_000; // how often a better transport is tried while a worse one serves

export class Session {
  /** @type {ConnectionState} */
  state = "disconnected";
  user = "";
  id = "";
  connects = 0;

  /** @type {Effect[]} */
  #out = [];
  #lastId = 0;
  #linked = false; // a transport exists, open or opening
  #answered = false; // … and the edge has said something on it
  #openBy = Infinity;
  #connectId = 0;
  #connectedAt = 0;
  #refreshId = 0;
  #probeAt = Infinity;
  #moveAt = Infinity; // when to open a way to another edge, for this one leaves
  #moving = false; // it is open, and not welcome yet
  #requests = new Requests();
  #liveness = new Liveness();

  /**
   * @param {object} options
   * @param {readonly Transport[]} options.transports best first
   * @param {Transport | null} [options.remembered] what worked before in this page's session
   * @param {() => number} options.random from [0, 1)
   * @param {{client: string, device?: string}} options.identity sent with every `connect`
   */
  constructor({ transports, remembered = null, random, identity }) {
    this.#random = random;
    this.#identity = identity;
    this.#choice = new Choice(transports, remembered);
    this.#credentials = new Credentials(random);
    this.#retry = new Retry(random);
    this.channels = new Channels(random, () => ++this.#lastId);
  }
  #random;
  #identity;
  #choice;
  #credentials;
  #retry;

  get transport() {
    return this.#choice.current;
  }

  get deadline() {
    if (this.state === "closed") return Infinity;
    const reading = this.state === "connected" ? Math.min(this.#liveness.deadline, this.#probeAt, this.#moveAt, this.channels.deadline) : Infinity;
    return Math.min(this.#retry.at, this.#openBy, this.#credentials.retryAt, this.#requests.deadline, reading);
  }

  // --- from the application

  /** @param {number} now */
  start(now) {
    if (this.state === "disconnected" && this.#retry.at === Infinity) this.#connect(now);
    return this.#effects();
  }

  /**
   * @param {string} channel
   * @param {{position?: Position | undefined, last?: number | undefined}} options
   */
  subscribe(channel, options) {
    this.channels.want(channel, options);
    if (this.state === "connected") this.#send(this.channels.ask());
    return this.#effects();
  }

  /** @param {string} channel */
  unsubscribe(channel) {
    const frames = this.channels.drop(channel);
    if (this.state === "connected") this.#send(frames);
    return this.#effects();
  }

  /**
   * Ask the edge for something; it is asked again after a reconnect, until the time is up.
   *
   * @param {{type: string}} frame without its id
   * @param {number} now
   * @returns {{id: number, effects: Effect[]}} the reply comes as a `settle` or `fail` effect with this id
   */
  request({ type, ...fields }, now) {
    const id = ++this.#lastId;
    const frame = { type, id, ...fields };
    if (this.#requests.add(frame, now, this.#out)) {
      if (this.state === "closed") this.#requests.abandon("the client is closed", this.#out);
      if (this.state === "connected") this.#send([frame]);
    }
    return { id, effects: this.#effects() };
  }

  /**
   * The provider's answer.
   *
   * @param {string | null} text null: there is no user any more
   * @param {number} now
   */
  token(text, now) {
    this.#credentials.received(text);
    if (!text) this.#end(CLOSE_CODES.unauthorized, "the token provider has no token");
    else if (this.state === "connecting" && !this.#linked) this.#open(now);
    else if (this.state === "connected") this.#send([{ type: "refresh", id: (this.#refreshId = ++this.#lastId), token: text }]);
    return this.#effects();
  }

  /**
   * The provider failed: that is a fault of the moment, it is asked again.
   *
   * @param {string} reason
   * @param {number} now
   */
  tokenFailed(reason, now) {
    this.#credentials.failed();
    this.#report(codes.TOKEN_UNAVAILABLE, "token_unavailable", reason);
    if (this.state === "connecting" && !this.#linked) this.#lost({ code: codes.TOKEN_UNAVAILABLE, reason }, now);
    else if (this.state === "connected") this.#credentials.retryLater(now);
    return this.#effects();
  }

  /**
   * Use these transports from now on.
   *
   * @param {readonly Transport[]} transports best first
   * @param {number} now
   */
  prefer(transports, now) {
    if (this.#choice.prefer(transports)) this.#switch(now);
    return this.#effects();
  }

  close() {
    this.#end(codes.NORMAL, "closed by the application");
    return this.#effects();
  }

  // --- from the host

  /**
   * The page or the network may be back: look now, not later. What the edge said about when to come back stands.
   *
   * @param {number} now
   * @param {boolean} [networkChanged]
   */
  wake(now, networkChanged = false) {
    if (networkChanged) this.#choice.networkChanged();
    if (this.state === "disconnected" && this.#retry.hasty) this.#connect(now);
    else if (this.state === "connected" && this.#liveness.doubtful(now)) this.#check(now);
    return this.#effects();
  }

  /** @param {number} now */
  tick(now) {
    this.#requests.expire(now, this.#out);
    if (now >= this.#credentials.retryAt) this.#askToken();
    if (this.state === "disconnected" && now >= this.#retry.at) this.#connect(now);
    else if (this.state === "connecting" && now >= this.#openBy) this.#cut({ code: codes.OPEN_TIMEOUT, reason: "no answer" }, true, now);
    else if (this.state === "connected") {
      const verdict = this.#liveness.verdict(now);
      if (verdict === "ask") this.#check(now);
      else if (verdict === "dead") this.#lost({ code: codes.SILENT, reason: "no heartbeat" }, now);
      else {
        this.#send(this.channels.retry(now));
        if (now >= this.#probeAt) this.#probe(now);
        if (now >= this.#moveAt) this.#prepare();
      }
    }
    return this.#effects();
  }

  // --- from the transport

  opened() {
    const { token, resume } = this.#credentials;
    const channels = { inbox: null, ...this.channels.connect() };
    this.#connectId = ++this.#lastId;
    this.#send([{ type: "connect", id: this.#connectId, token, ...this.#identity, ...(resume && { resume }), channels }]);
    return this.#effects();
  }

  /**
   * @param {readonly EdgeFrame[]} frames none: a sign of life
   * @param {number} now
   */
  receive(frames, now) {
    this.#liveness.heard(now);
    if (!this.#answered) {
      this.#answered = true;
      this.#openBy = now + this.#choice.timeoutMs;
      this.#choice.opened();
    }
    for (const frame of frames) {
      if (!this.#linked) break;
      this.#on(frame, now);
    }
    return this.#effects();
  }

  /**
   * The transport is gone.
   *
   * @param {Loss} loss
   * @param {number} now
   */
  lost(loss, now) {
    this.#linked = false;
    this.#cut(loss, false, now);
    return this.#effects();
  }

  /**
   * Another transport is open and was taken instead: go on with it from where the channels are.
   *
   * @param {number} now
   */
  moved(now) {
    this.state = step(this.state, "move");
    this.#moving = true;
    this.#answered = false;
    this.#openBy = now + this.#choice.timeoutMs;
    this.#probeAt = Infinity;
    this.#refreshId = 0;
    this.channels.lost();
    return this.opened();
  }

  /**
   * It did not open: the one in use serves until the edge closes it.
   *
   * @param {number} now
   */
  stayed(now) {
    this.#moveAt = now + MOVE_AGAIN_MS * (0.5 + this.#random());
    return this.#effects();
  }

  /**
   * @param {boolean} opens whether the better transport opens now
   * @param {number} now
   */
  probed(opens, now) {
    if (opens && this.state === "connected" && this.#choice.best !== this.#choice.current) {
      this.#choice.improve();
      this.#switch(now);
    }
    return this.#effects();
  }

  // --- frames

  /**
   * @param {EdgeFrame} frame
   * @param {number} now
   */
  #on(frame, now) {
    switch (frame?.type) {
      case "publication":
      case "position":
        return this.channels.follow(frame, now, this.#out);
      case "connected":
        return this.#welcome(frame, now);
      case "subscribed":
        return this.channels.subscribed(frame, now, this.#out);
      case "unsubscribed":
        return this.channels.unsubscribed(frame, this.#out);
      case "ping":
        return this.#send([{ type: "pong" }]);
      case "ok":
        if (frame.id !== this.#refreshId) return this.#requests.answered(frame, this.#out);
        this.#refreshId = 0;
        return this.#credentials.accepted(frame.expires_in ?? 0, now);
      case "error":
        if (frame.id === this.#connectId) this.#lost({ code: codes.ABNORMAL, reason: frame.message }, now);
        if (!frame.id || frame.id === this.#connectId || frame.id === this.#refreshId) return this.#report(frame.code, frame.slug, frame.message);
        return this.#failed(frame, now);
      case "resume":
        this.#credentials.resume = frame.grant;
        return;
      case "expiring":
        return this.#askToken();
      case "acked":
        this.#out.push({ type: "acked", channel: frame.channel, offset: frame.offset });
        return;
      case "policy":
        if (this.#choice.obey(frame.transports)) this.#switch(now);
        return;
      case "disconnect":
        if (frame.code === CLOSE_CODES.draining && frame.after_ms > 0 && this.state === "connected") {
          this.#moveAt = now + frame.after_ms;
          return;
        }
        return this.#lost({ code: frame.code, reason: frame.reason || frame.slug, afterMs: frame.after_ms, reconnect: frame.reconnect }, now);
    }
  }

  /**
   * @param {ErrorFrame} frame
   * @param {number} now
   */
  #failed(frame, now) {
    const outcome = this.channels.failed(frame, now, this.#out);
    if (outcome === null) this.#requests.answered(frame, this.#out);
    else if (outcome === "lost") this.#lost({ code: codes.GAP, reason: "a gap that only a new connection can mend" }, now);
  }

  /**
   * @param {Connected} frame
   * @param {number} now
   */
  #welcome(frame, now) {
    if (this.state !== "connecting") return;
    this.user = frame.user;
    this.id = frame.session;
    this.connects += 1;
    this.#openBy = Infinity;
    this.#connectedAt = now;
    this.#liveness.agree(frame);
    this.#liveness.heard(now);
    this.#credentials.resume = frame.resume ?? "";
    this.#credentials.accepted(frame.expires_in, now);
    if (this.#choice.best !== this.#choice.current) this.#probeLater(now);
    if (this.#moving) this.state = step(this.state, "welcome");
    else this.#move("welcome", codes.NORMAL, "");
    this.#moving = false;
    this.channels.connected(frame.channels, now, this.#out);
    this.#send([...this.channels.ask(), ...this.#requests.frames]);
  }

  // --- the way there and back

  /** @param {number} now */
  #connect(now) {
    this.#retry.begun();
    this.#move("retry", codes.NORMAL, "");
    if (this.#credentials.ready(now)) this.#open(now);
    else this.#askToken();
  }

  #askToken() {
    if (this.#credentials.ask()) this.#out.push({ type: "token" });
  }

  /** @param {number} now */
  #open(now) {
    this.#linked = true;
    this.#answered = false;
    this.#openBy = now + this.#choice.timeoutMs;
    this.#out.push({ type: "open", transport: this.#choice.current });
  }

  /**
   * The transport broke or never answered: where it never opened, another one may.
   *
   * @param {Loss} loss
   * @param {boolean} silent
   * @param {number} now
   */
  #cut(loss, silent, now) {
    const moved = !this.#answered && !codes.isTerminal(loss.code) && this.#choice.neverOpened(silent);
    if (moved) this.#out.push({ type: "transport", transport: this.#choice.current });
    this.#lost(loss, now, moved);
  }

  /**
   * @param {Loss} loss
   * @param {number} now
   * @param {boolean} [atOnce]
   */
  #lost({ code, reason, afterMs = 0, reconnect = !codes.isTerminal(code) }, now, atOnce = false) {
    if (this.#moveAt < Infinity && !afterMs) afterMs = Math.max(0, this.#moveAt - now); // what the edge said holds
    const livedMs = this.state === "connected" ? now - this.#connectedAt : 0;
    this.#unlink();
    if (code === CLOSE_CODES.token_expired || code === CLOSE_CODES.unauthorized) reconnect = this.#credentials.refused() || reconnect;
    if (code === CLOSE_CODES.transport_disabled && this.#choice.disable()) {
      this.#out.push({ type: "transport", transport: this.#choice.current });
      reconnect = atOnce = true;
    }
    if (!reconnect) return this.#end(code, reason);
    this.#move("lost", code, reason, this.#retry.plan({ afterMs, atOnce, livedMs }, now));
  }

  /** @param {number} now */
  #switch(now) {
    this.#out.push({ type: "transport", transport: this.#choice.current });
    if (!this.#linked) return;
    this.#lost({ code: codes.SWITCHING, reason: "another transport" }, now, true);
    this.#connect(now);
  }

  /**
   * @param {number} code
   * @param {string} reason
   */
  #end(code, reason) {
    if (this.state === "closed") return;
    this.#unlink();
    this.#requests.abandon(reason, this.#out);
    this.#move("end", code, reason);
  }

  #unlink() {
    if (this.#linked) this.#out.push({ type: "drop" });
    this.#linked = false;
    this.#openBy = this.#probeAt = this.#moveAt = Infinity;
    this.#moving = false;
    this.#refreshId = 0;
    this.#liveness.forget();
    this.channels.lost();
  }

  // --- liveness and probes

  /** @param {number} now */
  #check(now) {
    this.#send([{ type: "ping" }]);
    this.#liveness.asked(now);
  }

  #prepare() {
    this.#moveAt = Infinity;
    this.#out.push({ type: "prepare", transport: this.#choice.current });
  }

  /** @param {number} now */
  #probe(now) {
    this.#out.push({ type: "probe", transport: this.#choice.best });
    this.#probeLater(now);
  }

  /** @param {number} now */
  #probeLater(now) {
    this.#probeAt = now + PROBE_MS * (0.75 + 0.5 * this.#random());
  }

  // --- effects

  /** @param {object[]} frames */
  #send(frames) {
    if (frames.length > 0 && this.#linked) this.#out.push({ type: "send", frames });
  }

  /**
   * @param {number} code
   * @param {string} slug
   * @param {string} message
   */
  #report(code, slug, message) {
    this.#out.push({ type: "error", error: { code, slug, message } });
  }

  /**
   * @param {Cause} cause
   * @param {number} code
   * @param {string} reason
   * @param {number | null} [retryMs]
   */
  #move(cause, code, reason, retryMs = null) {
    this.state = step(this.state, cause);
    this.#out.push({ type: "state", state: this.state, code, reason, retryMs });
  }

  #effects() {
    const effects = this.#out;
    this.#out = [];
    return effects;
  }
}
