// What a session wants done. The client carries these out in order, in one switch.

/**
 * @import { Ok, Position, Publication } from "../protocol.gen.js"
 * @import { Way } from "./choice.js"
 *
 * @typedef {"disconnected" | "connecting" | "connected" | "closed"} ConnectionState
 * @typedef {"subscribing" | "subscribed" | "refused" | "unsubscribed"} ChannelState
 *
 * @typedef {{code: number, slug: string, message: string, temporary?: boolean}} Reason `temporary`: the same request may succeed later
 *
 * @typedef {{type: "token"}} AskToken ask the application's token provider, then call `token` or `tokenFailed`
 * @typedef {{type: "advice"}} AskAdvice ask the edge which transports to use, then call `advised`
 * @typedef {{type: "open", transport: Way}} Open
 * @typedef {{type: "prepare", transport: Way}} Prepare open another transport beside the one in use, then call `prepared`, `met` or `stayed`
 * @typedef {{type: "take"}} Take use that one from now on, and close the other
 * @typedef {{type: "abandon"}} Abandon close that one, nothing that it still reports counts
 * @typedef {{type: "send", frames: object[], next: boolean}} Send `next`: on the one that was prepared
 * @typedef {{type: "drop"}} Drop close the transports; nothing that they still report counts
 * @typedef {{type: "state", state: ConnectionState, code: number, reason: string, retryMs: number | null}} StateChanged
 * @typedef {{type: "transport", transport: Way}} TransportChanged
 * @typedef {{type: "channel", channel: string, state: ChannelState, error: Reason | null, position: Position | null}} ChannelChanged `position` where it begins
 * @typedef {{type: "reset", channel: string}} Reset publications may be missing: the application reloads its state
 * @typedef {{type: "publication", publication: Publication & {channel: string}, recovered: boolean}} Deliver
 * @typedef {{type: "join" | "leave", channel: string, user: string, info?: unknown}} Moved somebody came into a channel, or left it
 * @typedef {{type: "acked", channel: string, offset: number}} Acked
 * @typedef {{type: "beat"}} Beat the edge gave a sign of life, and nothing else
 * @typedef {{type: "settle", id: number, ok: Ok}} Settle
 * @typedef {{type: "fail", id: number, error: Reason}} Fail
 * @typedef {{type: "error", error: Reason}} Report
 *
 * @typedef {AskToken | AskAdvice | Open | Prepare | Take | Abandon | Send | Drop | StateChanged | TransportChanged | ChannelChanged | Reset | Deliver
 *   | Moved | Acked | Beat | Settle | Fail | Report} Effect
 */

export {};
