// Requests that wait for their reply: sent again after a reconnect, given up at their deadline.

import * as ERROR_CODES from "../error-codes.gen.js";
import { MAX_FRAME_BYTES } from "../limits.gen.js";
import { bytesOf } from "../transports/messages.js";
import { CLOSED, TIMEOUT } from "./codes.js";

/**
 * @import { Error as ErrorFrame, Ok } from "../protocol.gen.js"
 * @import { Effect } from "./effects.js"
 */

export const MAX_REQUESTS = 256; // that wait at the same time; one more is refused
const MAX_UNDER_WAY = 32; // sent and not answered, the others follow; an edge refuses more than 64 of one session
export const REQUEST_TIMEOUT_MS = 10_000;

export class Requests {
  /** @type {Map<number, {frame: object, deadline: number, sent: boolean}>} */
  #waiting = new Map();

  get deadline() {
    return Math.min(Infinity, ...Array.from(this.#waiting.values(), (each) => each.deadline));
  }

  /** The connection is gone: what was sent on it is sent again, for each one is harmless when it arrives twice. */
  lost() {
    for (const each of this.#waiting.values()) each.sent = false;
  }

  forget() {
    this.#waiting.clear();
  }

  /** @returns {object[]} what is to be sent now, oldest first */
  next() {
    const first = Array.from(this.#waiting.values()).slice(0, MAX_UNDER_WAY);
    return first.flatMap((each) => (each.sent ? [] : ((each.sent = true), [each.frame])));
  }

  /**
   * @param {{id: number}} frame
   * @param {number} now
   * @param {Effect[]} out
   * @param {number} [timeoutMs]
   * @returns {boolean} whether it waits; the edge would close the connection over one that is too large
   */
  add(frame, now, out, timeoutMs = REQUEST_TIMEOUT_MS) {
    const { id } = frame;
    if (this.#waiting.size >= MAX_REQUESTS) out.push(failure(id, ERROR_CODES.limit_exceeded, "limit_exceeded", "too many requests wait already"));
    else if (bytesOf([frame]) > MAX_FRAME_BYTES) out.push(failure(id, ERROR_CODES.too_large, "too_large", "the request is too large"));
    else this.#waiting.set(id, { frame, deadline: now + timeoutMs, sent: false });
    return this.#waiting.has(id);
  }

  /**
   * @param {Ok | ErrorFrame} frame
   * @param {Effect[]} out
   */
  answered(frame, out) {
    const id = frame.id ?? 0;
    if (!this.#waiting.delete(id)) return;
    if (frame.type === "ok") out.push({ type: "settle", id, ok: frame });
    else out.push(failure(id, frame.code, frame.slug, frame.message, frame.temporary));
  }

  /**
   * @param {number} now
   * @param {Effect[]} out
   */
  expire(now, out) {
    for (const [id, { deadline }] of this.#waiting) {
      if (deadline > now) continue;
      this.#waiting.delete(id);
      out.push(failure(id, TIMEOUT, "timeout", "the edge did not answer in time"));
    }
  }

  /**
   * @param {string} reason
   * @param {Effect[]} out
   */
  abandon(reason, out) {
    for (const id of this.#waiting.keys()) out.push(failure(id, CLOSED, "closed", reason));
    this.forget();
  }
}

/** @param {number} id @param {number} code @param {string} slug @param {string} message @param {boolean} [temporary] @returns {Effect} */
function failure(id, code, slug, message, temporary = false) {
  return { type: "fail", id, error: { code, slug, message, temporary } };
}
