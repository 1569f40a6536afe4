// The way to the edge and back: states, tokens, liveness, retries, and the transports that carry it all.
//
//   disconnected ─retry→ connecting ─welcome→ connected ─lost→ disconnected          any ─end→ closed
//
// While connected, another transport may be opened beside the one in use and be taken instead (route.js): the state stays.
// Times are milliseconds of one clock. `deadline` says when to call `tick` next.

import * as CLOSE_CODES from "../close-codes.gen.js";
import * as codes from "./codes.js";
import { Credentials } from "./credentials.js";
import { Liveness } from "./liveness.js";
import { Retry } from "./retry.js";
import { Route } from "./route.js";
import { step } from "./states.js";

/**
 * @import { Connected, EdgeFrame } from "../protocol.gen.js"
 * @import { Way } from "./choice.js"
 * @import { ConnectionState, Effect } from "./effects.js"
 * @import { Cause } from "./states.js"
 * @import { Advice, Loss, Terms } from "./terms.js"
 */

/** @abstract what is said on it is the session's business */
export class Connection {
  /** @type {ConnectionState} */
  state = "disconnected";
  /** @type {Effect[]} */
  out = [];
  #awaited = false; // a `connected` is, on the transport in use
  #connectedAt = 0;
  #liveness = new Liveness();

  /** @param {Terms} terms */
  constructor({ transports, remembered = null, curious = false, random }) {
    this.route = new Route(transports, remembered, curious, random);
    this.credentials = new Credentials(random);
    this.#retry = new Retry(random);
    this.#told = this.transport;
  }
  #retry;
  #told;
  /** The transport in use, or the next to be tried. */
  get transport() {
    return this.route.serving ?? this.route.choice.current;
  }

  get deadline() {
    if (this.state === "closed") return Infinity;
    return Math.min(this.#retry.at, this.route.deadline, this.credentials.retryAt, this.#liveness.deadline);
  }

  // --- what a session says on it

  /** Say who is there, and what is wanted. @param {boolean} _next on the transport beside the one in use */
  introduce(_next) {}
  /** The edge has let the client in. @param {Connected} _frame @param {number} _now */
  welcomed(_frame, _now) {}
  /** The transport is gone, or another one was taken instead. */
  unlinked() {}
  /** It is over for good. @param {string} _reason */
  ended(_reason) {}
  /** @param {string} _text a new token */
  renewed(_text) {}
  /** What the session makes of a frame. @param {EdgeFrame} _frame @param {number} _now */
  on(_frame, _now) {}
  /** @returns {boolean} whether only a stream that is opened anew carries all that is wanted */
  get stale() {
    return false;
  }

  // --- from the application

  /** @param {number} now */
  start(now) {
    if (this.state === "disconnected" && this.#retry.at === Infinity) this.#connect(now);
    return this.effects();
  }

  /** The provider's answer. @param {string | null} text null: there is no user any more @param {number} now */
  token(text, now) {
    this.credentials.received(text, now);
    if (!text) this.#end(CLOSE_CODES.unauthorized, "the token provider has no token");
    else if (this.state === "connecting" && !this.route.serving) this.route.open(now, this.out);
    else if (this.state === "connected" && this.transport === "sse") this.route.moveAt = now; // a stream keeps its token
    else if (this.state === "connected") this.renewed(text);
    return this.effects();
  }

  /** The provider failed: that is a fault of the moment, it is asked again. @param {string} reason @param {number} now */
  tokenFailed(reason, now) {
    this.credentials.failed();
    this.report(codes.TOKEN_UNAVAILABLE, "token_unavailable", reason);
    if (this.state === "connecting" && !this.route.serving) this.#lost({ code: codes.TOKEN_UNAVAILABLE, reason }, now);
    else if (this.state === "connected") this.credentials.retryLater(now);
    return this.effects();
  }

  /** Use these transports from now on. @param {readonly Way[]} transports best first @param {number} now */
  prefer(transports, now) {
    this.route.choice.prefer(transports);
    this.#follow(now);
    return this.effects();
  }

  /** Open another way beside the one in use, and go over to it. @param {number} now */
  move(now) {
    if (this.state === "connected") this.route.moveAt = now;
    return this.effects();
  }

  close() {
    this.#end(codes.NORMAL, "closed by the application");
    return this.effects();
  }

  // --- from the host

  /**
   * The page or the network may be back: look now, not later. What the edge said about when to come back stands.
   *
   * @param {number} now
   * @param {boolean} [networkChanged]
   */
  wake(now, networkChanged = false) {
    if (networkChanged) this.route.networkChanged(now);
    if (this.state === "disconnected" && this.#retry.hasty) this.#connect(now);
    else if (this.state === "connected" && this.#liveness.doubtful(now, this.transport === "sse")) this.#check(now);
    return this.effects();
  }

  /** @param {number} now */
  tick(now) {
    if (now >= this.credentials.retryAt) this.askToken();
    if (this.state === "disconnected" && now >= this.#retry.at) this.#connect(now);
    else if (this.state === "connecting" && now >= this.route.openBy) this.#cut({ code: codes.OPEN_TIMEOUT, reason: "no answer" }, true, now);
    else if (this.state === "connected") {
      const verdict = this.#liveness.verdict(now);
      if (verdict === "ask") this.#check(now);
      if (verdict !== "dead") this.route.tick(now, this.stale, this.out);
      else {
        // A stream that opened and then brought nothing is held back by a proxy: it will be again.
        const moved = this.transport === "sse" && this.#liveness.mute && this.route.choice.failed();
        this.#lost({ code: codes.SILENT, reason: "no heartbeat" }, now, moved);
      }
    }
    return this.effects();
  }

  /** What the edge answered when it was asked for the transports to use. @param {Advice} advice @param {number} now */
  advised({ transports, poll, afterMs }, now) {
    this.route.quiet(now + afterMs);
    if (transports && this.state !== "closed") this.#obey(transports, poll, now);
    return this.effects();
  }

  // --- from the transports

  opened() {
    this.introduce(false);
    this.#awaited = true;
    return this.effects();
  }

  /** @param {readonly EdgeFrame[]} frames none: a sign of life @param {number} now */
  receive(frames, now) {
    this.#liveness.heard(now);
    this.route.heard(now);
    if (frames.length === 0) this.out.push({ type: "beat" });
    for (const frame of frames) {
      if (!this.route.serving) break;
      this.#read(frame, now);
    }
    return this.effects();
  }

  /** The transport is gone. @param {Loss} loss @param {number} now */
  lost(loss, now) {
    this.#cut(loss, false, now);
    return this.effects();
  }

  /** The transport that was opened beside the one in use is open. */
  prepared() {
    if (this.route.next) this.introduce(true);
    return this.effects();
  }

  /** What came on it. @param {readonly EdgeFrame[]} frames @param {number} now */
  met(frames, now) {
    for (const [index, frame] of frames.entries()) {
      if (frame?.type === "disconnect") return this.stayed(now, frame.after_ms);
      if (frame?.type === "error") return this.stayed(now, frame.retry_ms ?? 0);
      if (frame?.type !== "connected" || !this.route.next) continue;
      this.route.take(this.out);
      this.#awaited = true;
      this.unlinked();
      return this.receive(frames.slice(index), now);
    }
    return this.effects();
  }

  /** It did not open, or is gone before it was taken. @param {number} now @param {number} [afterMs] when to come back, by the edge's word */
  stayed(now, afterMs) {
    this.route.stay(false, now, this.out, afterMs);
    return this.effects();
  }

  // --- frames

  /** @param {EdgeFrame} frame @param {number} now */
  #read(frame, now) {
    switch (frame?.type) {
      case "connected":
        if (this.#awaited) this.#welcome(frame, now);
        return;
      case "resume":
        this.credentials.resume = frame.grant;
        return;
      case "expiring":
        return this.askToken();
      case "policy":
        return this.#obey(frame.transports, frame.poll, now);
      case "ping":
        this.out.push({ type: "beat" });
        return this.send([{ type: "pong" }]);
      case "disconnect": {
        const { code, slug, reason, reconnect, after_ms: afterMs } = frame;
        if (code !== CLOSE_CODES.draining || !(afterMs > 0) || this.state !== "connected") return this.#lost({ code, reason: reason || slug, afterMs, reconnect }, now);
        this.route.leaving = true;
        this.route.moveAt = now + afterMs;
        return;
      }
      default:
        this.on(frame, now);
    }
  }

  /** @param {Connected} frame @param {number} now */
  #welcome(frame, now) {
    this.#awaited = false;
    this.#connectedAt = now;
    this.#liveness.welcomed(frame, now);
    this.credentials.resume = frame.resume ?? "";
    this.credentials.accepted(frame.expires_in, now);
    this.route.welcomed(now);
    if (this.state === "connecting") this.#move("welcome", codes.NORMAL, "");
    this.welcomed(frame, now);
  }

  /** @param {readonly string[]} transports @param {{interval: number} | undefined} poll @param {number} now */
  #obey(transports, poll, now) {
    this.route.obey(transports, poll);
    this.#follow(now);
  }

  // --- there and back
  /** @param {number} now */
  #connect(now) {
    this.#retry.begun();
    this.#move("retry", codes.NORMAL, "");
    if (this.credentials.ready(now)) this.route.open(now, this.out);
    else this.askToken();
  }

  /** What is to be used may be another transport now. @param {number} now */
  #follow(now) {
    const { serving, choice } = this.route;
    if (this.state === "connected") return this.route.follow(now, this.out);
    if (!serving || serving === choice.current) return;
    this.out.push({ type: "drop" });
    this.route.open(now, this.out);
  }

  /** The transport broke or never answered: where it never opened, another one may. @param {Loss} loss @param {boolean} silent @param {number} now */
  #cut(loss, silent, now) {
    const moved = !this.route.answered && !codes.isTerminal(loss.code) && this.route.choice.neverOpened(silent);
    this.#lost(loss, now, moved);
  }

  /** @param {Loss} loss @param {number} now @param {boolean} [atOnce] */
  #lost({ code, reason, afterMs = 0, reconnect = !codes.isTerminal(code) }, now, atOnce = false) {
    const { leaving, moveAt } = this.route;
    if (leaving && moveAt < Infinity && !afterMs) afterMs = Math.max(0, moveAt - now); // what the edge said holds
    const livedMs = this.state === "connected" ? now - this.#connectedAt : 0;
    this.#unlink();
    if (code === CLOSE_CODES.token_expired || code === CLOSE_CODES.unauthorized) reconnect = this.credentials.refused() || reconnect;
    if (code === CLOSE_CODES.transport_disabled && this.route.choice.disable()) reconnect = atOnce = true;
    if (!reconnect) return this.#end(code, reason);
    this.#move("lost", code, reason, this.#retry.plan({ afterMs, named: afterMs > 0 && !this.credentials.idle, atOnce, livedMs }, now));
  }

  /** @param {number} code @param {string} reason */
  #end(code, reason) {
    if (this.state === "closed") return;
    this.#unlink();
    this.ended(reason);
    this.#move("end", code, reason);
  }

  #unlink() {
    if (this.route.serving) this.out.push({ type: "drop" });
    this.route.leave();
    this.#awaited = false;
    this.#liveness.forget();
    this.unlinked();
  }

  /** @param {number} now */
  #check(now) {
    if (this.transport === "sse") this.route.moveAt = now; // nobody answers on a stream: open another
    else this.send([{ type: "ping" }]);
    this.#liveness.asked(now);
  }

  // --- effects

  askToken() {
    if (this.credentials.ask()) this.out.push({ type: "token" });
  }

  /** @param {object[]} frames @param {boolean} [next] on the transport that was opened beside the one in use */
  send(frames, next = false) {
    if (frames.length > 0 && this.route.serving) this.out.push({ type: "send", frames, next });
  }

  /** @param {number} code @param {string} slug @param {string} message */
  report(code, slug, message) {
    this.out.push({ type: "error", error: { code, slug, message } });
  }

  /** Give up this connection for the next. @param {number} code @param {string} reason @param {number} now */
  fail(code, reason, now) {
    this.#lost({ code, reason }, now);
  }

  /** @param {Cause} cause @param {number} code @param {string} reason @param {number | null} [retryMs] */
  #move(cause, code, reason, retryMs = null) {
    this.state = step(this.state, cause);
    this.out.push({ type: "state", state: this.state, code, reason, retryMs });
  }

  /** @returns {Effect[]} what is to be done */
  effects() {
    if (this.transport !== this.#told) this.out.push({ type: "transport", transport: (this.#told = this.transport) });
    const { out } = this;
    this.out = [];
    return out;
  }
}
