// Requests to the edge over HTTP, and what a refused one means to a session.

import { ABNORMAL } from "../core/codes.js";
import { messageOf } from "../errors.js";
import * as CLOSE_CODES from "../close-codes.gen.js";
import * as ERROR_CODES from "../error-codes.gen.js";
import { messages } from "./messages.js";
import { retryAfterMs } from "./advice.js";

/**
 * @import { CommandsReply, EdgeFrame, Problem } from "../protocol.gen.js"
 * @import { Loss } from "../core/terms.js"
 * @import { Host, LinkEvents } from "./link.js"
 */

export const GRACE_MS = 10_000; // for an answer to travel
const SPREAD = 0.25; // onto a proxy's `Retry-After`: it tells everybody the same, and none of them may be early

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

/** One link's requests: they bear its token, and end with it. */
export class Requester {
  token = "";
  closed = false;
  #base;
  #events;
  #all = new AbortController();

  /** @param {string} base @param {LinkEvents} events @param {Host} host */
  constructor(base, events, host) {
    this.#base = base;
    this.#events = events;
    this.host = host;
  }

  close() {
    this.closed = true;
    this.#all.abort();
  }

  get restMs() {
    return this.#events.restMs();
  }

  /** @param {readonly EdgeFrame[]} frames */
  receive(frames) {
    if (!this.closed) this.#events.receive(frames);
  }

  /** @param {Loss} loss */
  lost(loss) {
    if (this.closed) return;
    this.close();
    this.#events.lost(loss);
  }

  /**
   * @param {string} path
   * @param {object} body
   * @param {AbortSignal} [signal]
   * @returns {Promise<Response | Loss | null>} null where it was cut short
   */
  async post(path, body, signal = this.#all.signal) {
    try {
      const headers = { "content-type": "application/json", ...(this.token && { authorization: `Bearer ${this.token}` }) };
      const response = await this.host.fetch(new URL(path, this.#base).href, { method: "POST", headers, body: JSON.stringify(body), signal });
      return response.ok ? response : await refusal(response, this.host.random());
    } catch (error) {
      return this.closed || signal.aborted ? null : { code: ABNORMAL, reason: `${this.#base} cannot be reached, or does not allow pages from here: ${messageOf(error)}` };
    }
  }

  /**
   * @param {string} path
   * @param {object} body
   * @param {number} timeoutMs
   * @param {AbortSignal} [signal] cuts it short
   * @returns {Promise<any>} the answer, why there is none (a Loss), or null where it was cut short
   */
  async ask(path, body, timeoutMs, signal = this.#all.signal) {
    const limit = new AbortController();
    const abort = () => limit.abort();
    const signals = [signal, this.#all.signal];
    for (const each of signals) each.addEventListener("abort", abort);
    const timer = this.host.setTimeout(abort, timeoutMs);
    try {
      const reply = await this.post(path, body, limit.signal);
      if (reply instanceof Response) return await reply.json();
      return reply ?? (this.closed || signal.aborted ? null : { code: ABNORMAL, reason: "the edge did not answer" });
    } catch (error) {
      return this.closed || signal.aborted ? null : { code: ABNORMAL, reason: `the edge's answer broke off: ${messageOf(error)}` };
    } finally {
      this.host.clearTimeout(timer);
      for (const each of signals) each.removeEventListener("abort", abort);
    }
  }

  /** Send frames upwards; any pod answers. @param {object[]} frames */
  async command(frames) {
    for (const each of messages(frames)) {
      /** @type {CommandsReply | Loss | null} */
      const reply = await this.ask("v1/commands", { frames: each }, GRACE_MS);
      if (this.closed || reply === null) return;
      if ("code" in reply) this.lost(reply);
      else this.receive(/** @type {EdgeFrame[]} */ (reply.frames));
    }
  }
}

/**
 * Read why a request was refused. Only a problem document speaks for the edge: a proxy's own error page is a fault of the way.
 *
 * @param {Response} response
 * @param {number} random from [0, 1)
 * @returns {Promise<Loss>}
 */
async function refusal(response, random) {
  const isProblem = response.headers.get("content-type")?.startsWith("application/problem+json");
  /** @type {Partial<Problem>} */
  const { code = ABNORMAL, detail, retry_after_ms } = isProblem ? await response.json() : {};
  const reason = detail ?? `HTTP ${response.status}`;
  const afterMs = isProblem ? (retry_after_ms ?? retryAfterMs(response)) : retryAfterMs(response) * (1 + random * SPREAD);
  return { code: CLOSE_OF_ERROR.get(code) ?? code, reason, afterMs };
}
