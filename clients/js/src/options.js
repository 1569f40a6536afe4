// What an application tells a client, and what it hears from it.

/**
 * @import { Transport } from "./core/choice.js"
 * @import { ConnectionState } from "./core/effects.js"
 * @import { WhimbrelError } from "./errors.js"
 * @import { ChannelPublication } from "./subscription.js"
 * @import { Host } from "./transports/link.js"
 *
 * @typedef {"auto" | Transport} Preference
 *
 * @typedef {object} Options
 * @property {() => Promise<string | null> | string | null} token asked before a connect and when the token ends; null: signed out, which
 *   closes the client; what it throws is taken for a fault of the moment, and it is asked again
 * @property {Preference} [transport] "auto" by default: WebSocket where it opens, else an event stream, else long-poll
 * @property {Pick<Storage, "getItem" | "setItem"> | null} [storage] keeps positions for the next life of the page, e.g. sessionStorage;
 *   give one only where what the publications told survives as well
 * @property {"shared" | "apart"} [tabs] "shared" by default: the tabs of a browser that show the same user hold one connection, where the
 *   browser has Web Locks and BroadcastChannel
 * @property {string} [device] stable per installation, at most 64 characters
 * @property {Partial<Host>} [host]
 *
 * @typedef {object} StateChange
 * @property {ConnectionState} state
 * @property {number} code why: a close code of the edge (docs/websocket-api.md, "Close codes"), one of this
 *   client's own (3000–3999), or 1000 and 1006 as in RFC 6455
 * @property {string} reason
 * @property {number | null} retryMs until the next try
 *
 * @typedef {object} Events
 * @property {StateChange} state
 * @property {Transport} transport another one is used from now on
 * @property {WhimbrelError} error what no promise reports: the token provider or a handler failed
 * @property {{channel: string, offset: number}} acked another device of this user handled everything up to here
 * @property {ChannelPublication} publication in a channel that the edge opened by itself and nobody here subscribed to
 */

export {};
