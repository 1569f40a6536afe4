// Asking the edge which transports to use.

/** @import { Host } from "./link.js" */

/**
 * @param {string} base
 * @param {string} token
 * @param {Host} host
 * @returns {Promise<readonly string[] | null>} best first; null where there is no answer: the transports say it by themselves
 */
export async function askAdvice(base, token, host) {
  try {
    const response = await host.fetch(new URL("v1/transports", base).href, { headers: { authorization: `Bearer ${token}` } });
    const { transports } = response.ok ? await response.json() : { transports: null };
    return Array.isArray(transports) ? transports : null;
  } catch {
    return null;
  }
}
