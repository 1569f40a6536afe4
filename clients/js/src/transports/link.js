// What a transport is to the client: a link that carries frames until it is lost.

/**
 * @import { EdgeFrame } from "../protocol.gen.js"
 * @import { Loss } from "../core/session.js"
 *
 * @typedef {object} Link
 * @property {(frames: object[]) => void} send
 * @property {() => void} close after this, none of the events is called again
 *
 * @typedef {object} LinkEvents
 * @property {() => void} opened
 * @property {(frames: readonly EdgeFrame[]) => void} receive
 * @property {(loss: Loss) => void} lost
 *
 * @typedef {object} Host what the client takes from its surroundings; a test brings its own
 * @property {() => number} now milliseconds
 * @property {() => number} random from [0, 1)
 * @property {(call: () => void, ms: number) => any} setTimeout
 * @property {(timer: any) => void} clearTimeout
 * @property {(input: string, init: RequestInit) => Promise<Response>} fetch
 * @property {new (url: string, protocols: string[]) => WebSocket} [WebSocket] absent: long-poll alone
 * @property {Pick<EventTarget, "addEventListener" | "removeEventListener">} [page] hears online, offline, pageshow and pagehide
 * @property {Document} [document]
 * @property {Storage} [session] remembers for the page's session which transport worked
 */

export {};
