// Requests that wait for their reply: sent again after a reconnect, given up at their deadline.

import * as ERROR_CODES from "../error-codes.gen.js";
import { CLOSED, TIMEOUT } from "./codes.js";

/**
 * @import { Error as ErrorFrame, Ok } from "../protocol.gen.js"
 * @import { Effect } from "./effects.js"
 */

export const MAX_REQUESTS = 256; // that wait at the same time; one more is refused
export const REQUEST_TIMEOUT_MS = 10_000;

export class Requests {
  /** @type {Map<number, {frame: object, deadline: number}>} */
  #waiting = new Map();

  get deadline() {
    return Math.min(Infinity, ...Array.from(this.#waiting.values(), (each) => each.deadline));
  }

  /** @returns {object[]} all that wait, oldest first: each is harmless when it arrives twice */
  get frames() {
    return Array.from(this.#waiting.values(), (each) => each.frame);
  }

  /**
   * @param {{id: number}} frame
   * @param {number} now
   * @param {Effect[]} out
   * @param {number} [timeoutMs]
   * @returns {boolean} whether there was room for it
   */
  add(frame, now, out, timeoutMs = REQUEST_TIMEOUT_MS) {
    if (this.#waiting.size >= MAX_REQUESTS) {
      const error = { code: ERROR_CODES.limit_exceeded, slug: "limit_exceeded", message: `${MAX_REQUESTS} requests wait for their reply already` };
      out.push({ type: "fail", id: frame.id, error });
      return false;
    }
    this.#waiting.set(frame.id, { frame, deadline: now + timeoutMs });
    return true;
  }

  /**
   * @param {Ok | ErrorFrame} frame
   * @param {Effect[]} out
   */
  answered(frame, out) {
    const id = frame.id ?? 0;
    if (!this.#waiting.delete(id)) return;
    if (frame.type === "ok") out.push({ type: "settle", id, ok: frame });
    else out.push({ type: "fail", id, error: { code: frame.code, slug: frame.slug, message: frame.message, temporary: frame.temporary } });
  }

  /**
   * @param {number} now
   * @param {Effect[]} out
   */
  expire(now, out) {
    for (const [id, { deadline }] of this.#waiting) {
      if (deadline > now) continue;
      this.#waiting.delete(id);
      out.push({ type: "fail", id, error: { code: TIMEOUT, slug: "timeout", message: "the edge did not answer in time" } });
    }
  }

  /**
   * @param {string} reason
   * @param {Effect[]} out
   */
  abandon(reason, out) {
    for (const id of this.#waiting.keys()) out.push({ type: "fail", id, error: { code: CLOSED, slug: "closed", message: reason } });
    this.#waiting.clear();
  }
}
