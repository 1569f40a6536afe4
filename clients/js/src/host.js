// The surroundings that a browser, a worker or Node.js offers.

/** @import { Host } from "./transports/link.js" */

const MAX_TIMER_MS = 2 ** 31 - 1; // what is more rings at once

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
    now: clock(),
    random: Math.random,
    setTimeout: (call, ms) => setTimeout(call, Math.min(ms, MAX_TIMER_MS)),
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

/**
 * The wall's clock, for unlike a monotonic one it goes on while the machine sleeps; but it never goes back. Where somebody sets it back by
 * an hour, the next try would wait that hour.
 */
function clock() {
  let ahead = 0; // of the wall's
  let last = 0;
  return () => {
    const wall = Date.now();
    ahead = Math.max(ahead, last - wall);
    return (last = wall + ahead);
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
