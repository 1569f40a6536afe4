// Codes that this client gives itself, and how it reads those of the edge.

import * as ERROR_CODES from "../error-codes.gen.js";
import { FIRST_TERMINAL_CLOSE } from "../protocol.gen.js";

export const NORMAL = 1000; // the application closed, or there is nothing to report
export const ABNORMAL = 1006; // the transport broke without a word, as RFC 6455 §7.1.5 calls it
export const TOKEN_UNAVAILABLE = 3000; // the token provider failed; it is asked again
export const OPEN_TIMEOUT = 3001; // no answer from the edge
export const SILENT = 3002; // no heartbeat: the connection is dead though nobody said so
export const TIMEOUT = 3004; // a request was not answered in time
export const CLOSED = 3005; // a request after `close`, or one that `close` cut short
export const HANDOVER = 3008; // another tab of this browser holds the connection now
export const GAP = 3007; // publications are missing, and only a new connection brings them
export const HANDLER = 3006; // the application's handler threw

/** @param {number} code @returns {boolean} whether a close with this code forbids to come back */
export function isTerminal(code) {
  return code >= FIRST_TERMINAL_CLOSE && code <= 4999;
}

/** @type {readonly number[]} */
const TEMPORARY = [ERROR_CODES.internal, ERROR_CODES.unavailable, ERROR_CODES.rate_limited];

/** @param {number} code @returns {boolean} whether a request refused with this code may succeed later */
export function isTemporary(code) {
  return TEMPORARY.includes(code);
}
