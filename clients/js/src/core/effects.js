// What a session wants done. The client carries these out in order, in one switch.

/**
 * @import { Ok, Publication } from "../protocol.gen.js"
 * @import { Transport } from "./choice.js"
 *
 * @typedef {"disconnected" | "connecting" | "connected" | "closed"} ConnectionState
 * @typedef {"subscribing" | "subscribed" | "refused" | "unsubscribed"} ChannelState
 *
 * @typedef {{code: number, slug: string, message: string}} Reason
 *
 * @typedef {{type: "token"}} AskToken ask the application's token provider, then call `token` or `tokenFailed`
 * @typedef {{type: "open", transport: Transport}} Open
 * @typedef {{type: "prepare", transport: Transport}} Prepare open another beside the one in use, then take it instead and call `moved`, or `stayed`
 * @typedef {{type: "send", frames: object[]}} Send
 * @typedef {{type: "drop"}} Drop close the transport; nothing that it still reports counts
 * @typedef {{type: "probe", transport: Transport}} Probe find out whether this transport opens, then call `probed`
 * @typedef {{type: "state", state: ConnectionState, code: number, reason: string, retryMs: number | null}} StateChanged
 * @typedef {{type: "transport", transport: Transport}} TransportChanged
 * @typedef {{type: "channel", channel: string, state: ChannelState, error: Reason | null}} ChannelChanged
 * @typedef {{type: "reset", channel: string}} Reset publications may be missing: the application reloads its state
 * @typedef {{type: "publication", publication: Publication & {channel: string}, recovered: boolean}} Deliver
 * @typedef {{type: "acked", channel: string, offset: number}} Acked
 * @typedef {{type: "settle", id: number, ok: Ok}} Settle
 * @typedef {{type: "fail", id: number, error: Reason}} Fail
 * @typedef {{type: "error", error: Reason}} Report
 *
 * @typedef {AskToken | Open | Prepare | Send | Drop | Probe | StateChanged | TransportChanged | ChannelChanged | Reset | Deliver | Acked | Settle
 *   | Fail | Report} Effect
 */

export {};
