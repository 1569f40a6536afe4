// A name that nobody else has.

/** @param {() => number} random @returns {string} fit for an idempotency key */
export function newKey(random) {
  return globalThis.crypto?.randomUUID?.() ?? `${random()}${random()}`.replaceAll("0.", "");
}
