// Mistakes of whoever calls the client, named where they are made.

import { WhimbrelError } from "./errors.js";
import * as ERROR_CODES from "./error-codes.gen.js";
import { CHANNEL_PATTERN } from "./protocol.gen.js";

/** @import { Options, Preference } from "./options.js" */

const EXAMPLE = 'new Whimbrel("https://push.example.com", { token: async () => "…" })';
const PREFERENCES = ["auto", "websocket", "sse", "poll"];

/**
 * @param {unknown} url
 * @param {string} [origin] what a relative address begins with; there is none outside of a page
 * @returns {string} with a slash at its end
 * @throws {TypeError} saying what to write
 */
export function addressOf(url, origin) {
  if (typeof url !== "string" || url === "") throw new TypeError(`the address of the edge is missing: write ${EXAMPLE}`);
  let address;
  try {
    address = new URL(url.endsWith("/") ? url : `${url}/`, origin);
  } catch {
    throw new TypeError(`"${url}" is no address of an edge: write it with its scheme and host, e.g. https://push.example.com`);
  }
  if (!/^https?:$/.test(address.protocol)) throw new TypeError(`"${url}" is no address of an edge: write it with http:// or https://, for either transport`);
  return address.href;
}

/**
 * @param {unknown} options
 * @returns {Options}
 * @throws {TypeError} saying what to write
 */
export function checkedOptions(options) {
  const { token } = /** @type {Partial<Options>} */ (options ?? {});
  if (typeof token !== "function") throw new TypeError(`token must be a function that returns one, it is asked again when the token ends: write ${EXAMPLE}`);
  return /** @type {Options} */ (options);
}

/**
 * @param {unknown} token of the application's provider
 * @returns {string | null} null: there is no user any more
 * @throws {TypeError} saying what it must be
 */
export function checkedToken(token) {
  if (typeof token === "string" || token == null) return token || null;
  throw new TypeError(`a token is a string, or null where nobody is signed in; this is of type ${typeof token}`);
}

/**
 * @param {Preference} transport
 * @param {boolean} hasWebSocket
 * @throws {TypeError} saying what to write
 */
export function checkTransport(transport, hasWebSocket) {
  if (!PREFERENCES.includes(transport)) throw new TypeError(`"${transport}" is no transport: write "auto", "websocket", "sse" or "poll"`);
  if (transport === "websocket" && !hasWebSocket) {
    throw new TypeError('there is no WebSocket here (Node.js has one from version 22): give one as host: { WebSocket }, or write transport: "auto"');
  }
}

/**
 * @param {string} channel
 * @throws {WhimbrelError} unknown_channel
 */
export function checkChannel(channel) {
  if (typeof channel === "string" && CHANNEL_PATTERN.test(channel)) return;
  const message = `"${channel}" is not a channel: write namespace:name, e.g. orders:42, or inbox`;
  throw new WhimbrelError({ code: ERROR_CODES.unknown_channel, slug: "unknown_channel", message });
}

/**
 * @param {string} name of the handler
 * @param {unknown} handler
 * @throws {TypeError} saying what to write
 */
export function checkHandler(name, handler) {
  if (typeof handler !== "function") throw new TypeError(`the handler of ${name} must be a function, not ${handler === null ? "null" : typeof handler}`);
}
