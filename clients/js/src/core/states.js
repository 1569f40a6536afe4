// States of a client, and the one table of their changes.

/**
 * @import { ConnectionState } from "./effects.js"
 *
 * @typedef {"retry" | "welcome" | "lost" | "end"} Cause
 */

/** @type {Readonly<Record<ConnectionState, Partial<Record<Cause, ConnectionState>>>>} */
export const TRANSITIONS = {
  disconnected: { retry: "connecting", end: "closed" },
  connecting: { welcome: "connected", lost: "disconnected", end: "closed" },
  connected: { lost: "disconnected", end: "closed" },
  closed: {},
};

/**
 * @param {ConnectionState} state
 * @param {Cause} cause
 * @returns {ConnectionState}
 * @throws {Error} where the table has no such step: a fault of this client
 */
export function step(state, cause) {
  const next = TRANSITIONS[state][cause];
  if (next === undefined) throw new Error(`${cause} in state ${state}`);
  return next;
}
