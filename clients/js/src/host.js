// The surroundings that a browser, a worker or Node.js offers.

/** @import { Host } from "./transports/link.js" */

/**
 * @param {Partial<Host>} own replaces what the surroundings offer
 * @returns {Host}
 */
export function browser(own) {
  const { document, WebSocket, BroadcastChannel } = globalThis;
  const locks = globalThis.navigator?.locks; // only in a secure context
  const page = typeof addEventListener === "function" ? globalThis : undefined;
  const session = storageOfSession();
  return {
    now: () => Date.now(), // unlike a monotonic clock, it goes on while the machine sleeps
    random: Math.random,
    setTimeout: (call, ms) => setTimeout(call, ms),
    clearTimeout: (timer) => clearTimeout(timer),
    fetch: (input, init) => fetch(input, init),
    ...(WebSocket && { WebSocket }),
    ...(page && { page }),
    ...(document && { document }),
    ...(locks && { locks }),
    ...(BroadcastChannel && { broadcast: (/** @type {string} */ name) => new BroadcastChannel(name) }),
    ...(session && { session }),
    ...own,
  };
}

/** @returns {Storage | undefined} none where the browser forbids it */
function storageOfSession() {
  try {
    return globalThis.sessionStorage;
  } catch {
    return undefined;
  }
}
