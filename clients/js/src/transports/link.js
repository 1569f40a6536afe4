// What a transport is to the client: a link that carries frames until it is lost.

/**
 * @import { EdgeFrame } from "../protocol.gen.js"
 * @import { Way } from "../core/choice.js"
 * @import { Loss } from "../core/terms.js"
 *
 * @typedef {object} Link
 * @property {(frames: object[]) => void} send
 * @property {() => void} close after this, none of the events is called again
 *
 * @typedef {object} LinkEvents called after the link was returned
 * @property {() => unknown} opened
 * @property {(frames: readonly EdgeFrame[]) => unknown} receive no frames: a sign of life
 * @property {(loss: Loss) => unknown} lost
 * @property {() => number} restMs how long to wait from an answer to the next poll, by the edge's policy; 0: polls are held
 *
 * @typedef {(transport: Way, base: string, events: LinkEvents, host: Host) => Link} OpenLink
 *
 * @typedef {object} Host what the client takes from its surroundings; a test brings its own
 * @property {() => number} now milliseconds
 * @property {() => number} random from [0, 1)
 * @property {(call: () => void, ms: number) => any} setTimeout
 * @property {(timer: any) => void} clearTimeout
 * @property {(input: string, init: RequestInit) => Promise<Response>} fetch
 * @property {new (url: string, protocols: string[]) => WebSocket} [WebSocket] absent: event stream or long-poll
 * @property {Pick<EventTarget, "addEventListener" | "removeEventListener">} [page] hears online, offline, pageshow and pagehide
 * @property {Document} [document]
 * @property {LockManager} [locks] elects the tab that holds the connection for all
 * @property {(name: string) => BroadcastChannel} [broadcast] how tabs talk to each other
 * @property {Storage} [session] remembers for the page's session which transport worked
 */

export {};
