// On what a connection is made, and how it is lost.

/**
 * @import { Way } from "./choice.js"
 *
 * @typedef {{code: number, reason: string, afterMs?: number, reconnect?: boolean}} Loss
 *
 * @typedef {{transports: readonly string[] | null, poll?: {interval: number} | undefined, afterMs: number}} Advice best first, null where there
 *   is none; seconds between polls; `afterMs`: not to be asked before, 0 where no time was named
 *
 * @typedef {object} Terms
 * @property {readonly Way[]} transports best first
 * @property {Way | null} [remembered] what worked before in this page's session
 * @property {boolean} [curious] ask the edge at the beginning which transports to use
 * @property {() => number} random from [0, 1)
 */

export {};
