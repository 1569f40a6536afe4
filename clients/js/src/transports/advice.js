// Asking the edge which transports to use.

/**
 * @import { Advice } from "../core/terms.js"
 * @import { Host } from "./link.js"
 */

/**
 * @param {string} base
 * @param {string} token
 * @param {Host} host
 * @returns {Promise<Advice>} without an answer the transports say it by themselves
 */
export async function askAdvice(base, token, host) {
  try {
    const response = await host.fetch(new URL("v1/transports", base).href, { headers: { authorization: `Bearer ${token}` } });
    const { transports, poll } = response.ok ? await response.json() : { transports: null };
    return { transports: Array.isArray(transports) ? transports : null, poll, afterMs: retryAfterMs(response) };
  } catch {
    return { transports: null, afterMs: 0 };
  }
}

/** @param {Response} response @returns {number} its `Retry-After`, 0 where it names no time */
export function retryAfterMs({ headers }) {
  return Number(headers.get("retry-after")) * 1000 || 0;
}
