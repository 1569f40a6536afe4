// Frames over HTTP: a long-poll downwards, POST /v1/commands upwards. Any pod answers any of these requests.

import { ABNORMAL } from "../core/codes.js";
import { GRACE_S, Polling } from "../core/polling.js";
import { messageOf } from "../errors.js";
import { CLOSE_CODES, ERROR_CODES } from "../protocol.gen.js";

/**
 * @import { CommandsReply, EdgeFrame, Ok, PollReply, Position, Problem } from "../protocol.gen.js"
 * @import { Loss } from "../core/session.js"
 * @import { Host, Link, LinkEvents } from "./link.js"
 *
 * @typedef {{type: string, id: number, channel: string, token: string, channels: Record<string, Position | null>, position?: Position, last?: number}} Sent
 */

const PAUSE_MS = 1_000; // between polls that return at once with nothing new
/** What a refused request means to the session: the close code that a socket would have got. @type {ReadonlyMap<number, number>} */
const CLOSE_OF_ERROR = new Map([
  [ERROR_CODES.internal, CLOSE_CODES.internal],
  [ERROR_CODES.unauthorized, CLOSE_CODES.unauthorized],
  [ERROR_CODES.permission_denied, CLOSE_CODES.forbidden],
  [ERROR_CODES.limit_exceeded, CLOSE_CODES.too_many_connections],
  [ERROR_CODES.bad_request, CLOSE_CODES.protocol_error],
  [ERROR_CODES.unavailable, CLOSE_CODES.bus_unavailable],
  [ERROR_CODES.rate_limited, CLOSE_CODES.rate_limited],
  [ERROR_CODES.token_expired, CLOSE_CODES.token_expired],
  [ERROR_CODES.too_large, CLOSE_CODES.frame_too_large],
]);

/**
 * @param {string} base http(s) address of the edge
 * @param {LinkEvents} events
 * @param {Host} host
 * @returns {Link}
 */
export function openPoll(base, events, host) {
  const link = new PollLink(base, events, host);
  Promise.resolve().then(() => link.open());
  return link;
}

/** @implements {Link} */
class PollLink {
  #polling;
  #base;
  #events;
  #host;
  #token = "";
  #closed = false;
  #current = new AbortController(); // the poll under way
  #commands = new AbortController();
  #pinged = false;
  #renewed = () => {};

  /**
   * @param {string} base
   * @param {LinkEvents} events
   * @param {Host} host
   */
  constructor(base, events, host) {
    this.#base = base;
    this.#events = events;
    this.#host = host;
    this.#polling = new Polling(`poll-${host.random().toString(36).slice(2, 10)}`);
  }

  open() {
    if (!this.#closed) this.#events.opened();
  }

  close() {
    this.#closed = true;
    this.#current.abort();
    this.#commands.abort();
    this.#renewed();
  }

  /** @param {object[]} frames */
  send(frames) {
    const commands = /** @type {Sent[]} */ (frames).filter((frame) => !this.#keep(frame));
    if (commands.length > 0) this.#command(commands);
  }

  /**
   * @param {Sent} frame
   * @returns {boolean} whether it concerns the polling alone
   */
  #keep(frame) {
    switch (frame.type) {
      case "connect":
        this.#token = frame.token;
        this.#polling.connect(frame);
        this.#run();
        return true;
      case "subscribe":
        if (frame.last) this.#openWithLast(frame, frame.last);
        else this.#subscribe(frame);
        return true;
      case "unsubscribe":
        this.#polling.unsubscribe(frame.channel);
        return true;
      case "refresh":
        this.#token = frame.token;
        this.#renewed();
        Promise.resolve().then(() => this.#receive([{ type: "ok", id: frame.id }]));
        return true;
      case "ping":
        this.#pinged = true;
        this.#current.abort();
        return true;
      case "pong":
        return true;
      default:
        return false;
    }
  }

  async #run() {
    let refused = false; // the token, and not accepted since
    while (!this.#closed) {
      this.#current = new AbortController();
      const asked = this.#polling.body;
      if (this.#pinged) asked.wait = 0;
      const began = this.#host.now();
      /** @type {PollReply | Loss | null} */
      const reply = await this.#post("v1/poll", asked, this.#current.signal, (asked.wait + GRACE_S) * 1000);
      if (this.#closed) return;
      if (reply === null) continue; // interrupted: the next poll asks for more
      if ("code" in reply) {
        if (reply.code !== CLOSE_CODES.token_expired || refused || asked.wait === 0) return this.#lost(reply);
        refused = true;
        await this.#renewal();
        continue;
      }
      refused = false;
      const frames = this.#polling.answer(asked, reply);
      if (this.#pinged && asked.wait === 0) {
        this.#pinged = false;
        frames.push({ type: "pong" });
      }
      this.#receive(frames);
      if (frames.length === 0 && this.#host.now() - began < PAUSE_MS) await this.#pause();
    }
  }

  /** @param {Sent} frame @param {Ok} [begin] */
  #subscribe(frame, begin) {
    this.#polling.subscribe(frame, begin);
    this.#current.abort();
  }

  /** A poll knows no `last`: read history first, then go on from its end. @param {Sent} frame @param {number} limit */
  async #openWithLast({ id, channel }, limit) {
    const frames = [{ type: "history", id, channel, limit }];
    /** @type {CommandsReply | Loss | null} */
    const reply = await this.#post("v1/commands", { frames }, this.#commands.signal, GRACE_S * 1000);
    if (this.#closed || reply === null) return;
    if ("code" in reply) return this.#lost(reply);
    const [answer] = /** @type {EdgeFrame[]} */ (reply.frames);
    if (answer?.type === "ok") this.#subscribe(/** @type {Sent} */ ({ id, channel }), answer);
    else if (answer) this.#receive([answer]);
  }

  /** @param {object[]} frames */
  async #command(frames) {
    /** @type {CommandsReply | Loss | null} */
    const reply = await this.#post("v1/commands", { frames }, this.#commands.signal, GRACE_S * 1000);
    if (this.#closed || reply === null) return;
    if ("code" in reply) this.#lost(reply);
    else this.#receive(/** @type {EdgeFrame[]} */ (reply.frames));
  }

  /**
   * @param {string} path
   * @param {object} body
   * @param {AbortSignal} signal
   * @param {number} timeoutMs
   * @returns {Promise<any>} the answer, why there is none (a Loss), or null where `signal` cut it short
   */
  async #post(path, body, signal, timeoutMs) {
    const limit = new AbortController();
    const abort = () => limit.abort();
    signal.addEventListener("abort", abort);
    const timer = this.#host.setTimeout(abort, timeoutMs);
    try {
      const headers = { authorization: `Bearer ${this.#token}`, "content-type": "application/json" };
      const init = { method: "POST", headers, body: JSON.stringify(body), signal: limit.signal };
      const response = await this.#host.fetch(new URL(path, this.#base).href, init);
      return response.ok ? await response.json() : await refusal(response);
    } catch (error) {
      return signal.aborted ? null : { code: ABNORMAL, reason: `the edge cannot be reached: ${messageOf(error)}` };
    } finally {
      this.#host.clearTimeout(timer);
      signal.removeEventListener("abort", abort);
    }
  }

  /** Ask the session for another token, and wait for it. */
  #renewal() {
    return new Promise((resolve) => {
      this.#renewed = () => resolve(undefined);
      this.#receive([{ type: "expiring", in: 0 }]);
    });
  }

  #pause() {
    return new Promise((resolve) => {
      const timer = this.#host.setTimeout(() => resolve(undefined), PAUSE_MS);
      this.#current.signal.addEventListener("abort", () => {
        this.#host.clearTimeout(timer);
        resolve(undefined);
      });
    });
  }

  /** @param {EdgeFrame[]} frames */
  #receive(frames) {
    if (!this.#closed) this.#events.receive(frames);
  }

  /** @param {Loss} loss */
  #lost(loss) {
    this.close();
    this.#events.lost(loss);
  }
}

/**
 * Read why a request was refused. Only a problem document speaks for the edge: a proxy's own error page is a fault of the way.
 *
 * @param {Response} response
 * @returns {Promise<Loss>}
 */
async function refusal(response) {
  const retryAfterMs = Number(response.headers.get("retry-after") ?? 0) * 1000;
  const isProblem = response.headers.get("content-type")?.startsWith("application/problem+json");
  /** @type {Partial<Problem>} */
  const { code = ABNORMAL, detail, retry_after_ms } = isProblem ? await response.json() : {};
  const reason = detail ?? `HTTP ${response.status}`;
  return { code: CLOSE_OF_ERROR.get(code) ?? code, reason, afterMs: retry_after_ms ?? (retryAfterMs || 0) };
}
