// How long to wait before the next try.

import * as LIMITS from "../limits.gen.js";

const BASE_MS = LIMITS.BACKOFF_BASE_S * 1000;
const CAP_MS = LIMITS.BACKOFF_CAP_S * 1000;

/**
 * Return the wait before try number `attempt` (0, 1, …), with full jitter: clients that were cut together come back apart.
 *
 * @param {number} attempt
 * @param {() => number} random from [0, 1)
 */
export function backoff(attempt, random) {
  return Math.round(random() * Math.min(CAP_MS, BASE_MS * 2 ** Math.min(attempt, 16)));
}
