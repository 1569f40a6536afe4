// Generated from whimbrel.protocol by `make generate`: do not edit.

// Frames and bodies.

/**
 * Says that everything up to `offset` was handled; moves the user's read mark on all devices.
 *
 * @typedef {object} Ack
 * @property {"ack"} type
 * @property {number | null | undefined} [id] Asks for a reply that bears the same `id`.
 * @property {string} channel `inbox`, or `namespace:name`.
 * @property {number} offset Of the last publication handled.
 */

/**
 * Authenticates the connection and, in the same step, subscribes and recovers.
 *
 * @typedef {object} Connect
 * @property {"connect"} type
 * @property {number} id Asks for a reply that bears the same `id`.
 * @property {string | null | undefined} [token] An access token; not needed beside a bearer header, a ticket or a valid `resume`.
 * @property {string | null | undefined} [resume] The grant of the previous `connected` or `resume` frame.
 * @property {string | null | undefined} [device] Stable per installation.
 * @property {string | null | undefined} [client] Name and version of the client library.
 * @property {Record<string, Position | null> | undefined} [channels] Channels to subscribe to, each with the position to recover from, or null.
 */

/**
 * Reads retained publications: oldest first after `after`, or the newest ones before `before`.
 *
 * @typedef {object} History
 * @property {"history"} type
 * @property {number} id Asks for a reply that bears the same `id`.
 * @property {string} channel `inbox`, or `namespace:name`.
 * @property {number | null | undefined} [after] Only publications with a greater offset.
 * @property {number | null | undefined} [before] Only publications with a smaller offset.
 * @property {number | undefined} [limit] Most publications in the answer.
 */

/**
 * Asks what is in the user's inbox now, and how much of it is unread. Subscribing to nothing.
 *
 * @typedef {object} Inbox
 * @property {"inbox"} type
 * @property {number} id Asks for a reply that bears the same `id`.
 * @property {boolean | undefined} [unread] Only what is behind the read mark.
 * @property {number | null | undefined} [before] Only messages with a smaller offset: the page before.
 * @property {number | undefined} [limit] Most messages in the answer, the newest ones; 0 only counts.
 */

/**
 * Asks the other side for a `pong`.
 *
 * @typedef {object} Ping
 * @property {"ping"} type
 */

/**
 * Answers `ping`; any frame counts as life.
 *
 * @typedef {object} Pong
 * @property {"pong"} type
 */

/**
 * Where a subscriber stopped in one channel.
 *
 * @typedef {object} Position
 * @property {string} epoch Changes when the channel's history was lost or rebuilt.
 * @property {number} offset Grows within an epoch, with holes.
 */

/**
 * Asks who is in a channel.
 *
 * @typedef {object} Presence
 * @property {"presence"} type
 * @property {number} id Asks for a reply that bears the same `id`.
 * @property {string} channel `inbox`, or `namespace:name`.
 */

/**
 * Publishes to a channel whose namespace lets clients do so.
 *
 * @typedef {object} Publish
 * @property {"publish"} type
 * @property {number} id Asks for a reply that bears the same `id`.
 * @property {string} channel `inbox`, or `namespace:name`.
 * @property {string} event What kind of publication this is; the application's own word.
 * @property {any} data Any JSON value, null included.
 * @property {string | null | undefined} [key] Idempotency key: a repeat within the stream's window is stored once.
 */

/**
 * Renews the session with a new token, in place.
 *
 * @typedef {object} Refresh
 * @property {"refresh"} type
 * @property {number} id Asks for a reply that bears the same `id`.
 * @property {string} token A token of the same user.
 */

/**
 * Opens a channel. With neither `position` nor `last` it starts from now, and `inbox` from the user's read mark.
 *
 * @typedef {object} Subscribe
 * @property {"subscribe"} type
 * @property {number} id Asks for a reply that bears the same `id`.
 * @property {string} channel `inbox`, or `namespace:name`.
 * @property {Position | null | undefined} [position] Recover from here.
 * @property {number | null | undefined} [last] That many of the most recent publications, when there is no position.
 */

/**
 * Closes a channel.
 *
 * @typedef {object} Unsubscribe
 * @property {"unsubscribe"} type
 * @property {number} id Asks for a reply that bears the same `id`.
 * @property {string} channel `inbox`, or `namespace:name`.
 */

/**
 * Another device of this user acknowledged.
 *
 * @typedef {object} AckedFrame
 * @property {"acked"} type
 * @property {string} channel As the client names it: `inbox`, or `namespace:name`.
 * @property {number} offset Up to here.
 */

/**
 * Answers `connect`.
 *
 * @typedef {object} Connected
 * @property {"connected"} type
 * @property {number} id The `id` of the request.
 * @property {string} session Names this session in the logs of the edge.
 * @property {string} user The token's `sub`.
 * @property {number} expires_in Seconds until the token expires.
 * @property {number} ping Seconds of silence after which the edge pings.
 * @property {number} pong Seconds within which it wants an answer.
 * @property {ConnectedLimits} limits What counts on this connection.
 * @property {Record<string, Subscription>} channels Those asked for, `inbox`, and those that the router opened by itself.
 * @property {string} [resume] Opaque grant for a reconnect that asks neither auth nor router.
 */

/**
 * What the edge accepts from this client.
 *
 * @typedef {object} ConnectedLimits
 * @property {number} frame_bytes Bytes of one message, an array of frames included.
 * @property {number} channels Channels of one connection.
 * @property {number} publish_per_s Publishes per second, averaged, over all connections of the user.
 */

/**
 * Precedes every close by the edge; with 4000 `after_ms` and a few seconds earlier.
 *
 * @typedef {object} Disconnect
 * @property {"disconnect"} type
 * @property {number} code A close code.
 * @property {string} slug The name of the code.
 * @property {string} reason For a developer, not for a user.
 * @property {boolean} reconnect Whether the client may come back by itself.
 * @property {number} after_ms How long to wait before; wins over the client's own backoff.
 */

/**
 * A request failed; the connection lives on.
 *
 * @typedef {object} Error
 * @property {"error"} type
 * @property {number} [id] The `id` of the request.
 * @property {number} code An error code.
 * @property {string} slug The name of the code.
 * @property {string} message For a developer, not for a user.
 * @property {boolean} temporary Whether the same request may succeed later.
 * @property {number} [retry_ms] How long to wait before.
 */

/**
 * The token expires in `in` seconds: send `refresh`.
 *
 * @typedef {object} Expiring
 * @property {"expiring"} type
 * @property {number} in Seconds.
 */

/**
 * How the edge finds out that a client is gone.
 *
 * @typedef {object} Heartbeat
 * @property {number} ping Seconds of silence after which the edge pings.
 * @property {number} pong Seconds within which it wants an answer.
 */

/**
 * A user came into the channel.
 *
 * @typedef {object} Join
 * @property {"join"} type
 * @property {string} channel As the client names it: `inbox`, or `namespace:name`.
 * @property {string} user Who.
 * @property {any} [info] What the user's client told of itself.
 */

/**
 * A user left the channel.
 *
 * @typedef {object} Leave
 * @property {"leave"} type
 * @property {string} channel As the client names it: `inbox`, or `namespace:name`.
 * @property {string} user Who.
 * @property {any} [info] What the user's client told of itself.
 */

/**
 * Answers a request; which fields are present depends on the request.
 *
 * @typedef {object} Ok
 * @property {"ok"} type
 * @property {number} id The `id` of the request.
 * @property {number} [offset] `publish`: where it was stored; `ack`: where the read mark is now.
 * @property {Publication[]} [publications] `history`, `inbox`: oldest first.
 * @property {string} [epoch] `history`, `inbox`: of the offsets.
 * @property {number} [unread] `inbox`: how many messages are behind the read mark, listed or not.
 * @property {number} [read] `inbox`: the read mark; 0 where nothing was acknowledged yet.
 * @property {boolean} [complete] `inbox`: false where the inbox is full of unread messages, so that older ones may have been dropped unread.
 * @property {any[]} [users] `presence`: who is in the channel.
 * @property {number} [expires_in] `refresh`: seconds until the new token expires.
 */

/**
 * Which transports to use now, best first; as `GET /v1/transports`.
 *
 * @typedef {object} Policy
 * @property {"policy"} type
 * @property {("websocket" | "sse" | "poll")[]} transports Best first.
 * @property {string} [cohort] The group of users that this rollout step put the user in.
 * @property {Heartbeat} heartbeat When the edge looks for life on a connection.
 * @property {PollAdvice} poll For whom polling is the transport.
 */

/**
 * How a polling client should poll.
 *
 * @typedef {object} PollAdvice
 * @property {number} interval Seconds from an answer to the next poll, sent with `wait` 0, while `poll` is first of `transports`; who polls for want of anything better is held by the edge instead, and asks again at once.
 */

/**
 * Stands for a publication that this session may not see; the client advances as if it had.
 *
 * @typedef {object} PositionFrame
 * @property {"position"} type
 * @property {string} channel As the client names it: `inbox`, or `namespace:name`.
 * @property {number} offset Of the publication that is not shown.
 * @property {number} prev The offset before it in the channel.
 */

/**
 * One publication. In a subscription and in a history answer `channel` stands outside.
 *
 * @typedef {object} Publication
 * @property {"publication"} [type]
 * @property {string} [channel] As the client names it: `inbox`, or `namespace:name`.
 * @property {string} event What kind of publication this is: a domain event's `ce-type`, or the `event` of a `publish`.
 * @property {string} event_id The same in every channel that the event reached.
 * @property {string} time When it happened (RFC 3339).
 * @property {any} data Any JSON value.
 * @property {number} [offset] Absent in an ephemeral channel.
 * @property {number} [prev] The offset before this one in the channel; 0 where none was retained.
 * @property {string} [topic] In an inbox: it takes the place of what came before under the same topic, `<domain>:<topic>`.
 * @property {string} [expires] In an inbox: not to be shown from then on (RFC 3339).
 * @property {string} [trace] W3C traceparent, only when sampled.
 */

/**
 * Why a channel was not opened.
 *
 * @typedef {object} RefusedChannel
 * @property {number} code An error code.
 * @property {string} slug The name of the code.
 * @property {string} message For a developer, not for a user.
 */

/**
 * Replaces the grant received before.
 *
 * @typedef {object} Resume
 * @property {"resume"} type
 * @property {string} grant Opaque; for `resume` of the next `connect`.
 */

/**
 * Answers `subscribe`; without `id` when the router opened the channel, or when a position was lost.
 *
 * @typedef {object} Subscribed
 * @property {"subscribed"} type
 * @property {number} [id] The `id` of the request.
 * @property {string} channel As the client names it: `inbox`, or `namespace:name`.
 * @property {string} [epoch] Absent in an ephemeral channel and where `error` is set.
 * @property {number} [offset] Where `publications` begin: the client sets its position to it, then applies them.
 * @property {boolean} [recovered] true: nothing since the given position is missing; false: that cannot be proved, reload; absent: no position was given.
 * @property {Publication[]} [publications] Oldest first; what does not fit follows as `publication` frames.
 * @property {RefusedChannel} [error] The channel was refused; no other field is set.
 */

/**
 * The state of one channel at the moment it was opened.
 *
 * @typedef {object} Subscription
 * @property {string} [epoch] Absent in an ephemeral channel and where `error` is set.
 * @property {number} [offset] Where `publications` begin: the client sets its position to it, then applies them.
 * @property {boolean} [recovered] true: nothing since the given position is missing; false: that cannot be proved, reload; absent: no position was given.
 * @property {Publication[]} [publications] Oldest first; what does not fit follows as `publication` frames.
 * @property {RefusedChannel} [error] The channel was refused; no other field is set.
 */

/**
 * Says that the edge closed a channel by itself, and why.
 *
 * @typedef {object} Unsubscribed
 * @property {"unsubscribed"} type
 * @property {string} channel As the client names it: `inbox`, or `namespace:name`.
 * @property {number} code An error code.
 * @property {string} slug The name of the code.
 * @property {string} reason For a developer, not for a user.
 */

/**
 * Answer of `POST /v1/commands`.
 *
 * @typedef {object} CommandsReply
 * @property {EdgeFrame[]} frames Replies in the order of the frames; frames without a reply leave none.
 */

/**
 * Body of `POST /v1/commands`.
 *
 * @typedef {object} CommandsRequest
 * @property {ClientFrame[]} frames In the order in which they are to be answered.
 */

/**
 * Answer of `/v1/poll`.
 *
 * @typedef {object} PollReply
 * @property {EdgeFrame[]} frames Publications, and what is to be told of the channels.
 * @property {Record<string, Position | null>} channels Positions to send with the next poll, as they are: that of an ephemeral channel says only that it is open.
 */

/**
 * Body of `POST /v1/poll`: what the client has, and how long it would wait.
 *
 * @typedef {object} PollRequest
 * @property {Record<string, Position | null>} channels Channels with the position to go on from; null: as a subscription without a position.
 * @property {number} [wait] Seconds to wait for a publication; 0 answers at once.
 * @property {number} [limit] Publications per answer; more wait for the next poll.
 */

/**
 * An HTTP error as `application/problem+json` (RFC 9457).
 *
 * @typedef {object} Problem
 * @property {string} [type] No page of its own: `code` says it.
 * @property {string} title The phrase of the HTTP status.
 * @property {number} status The HTTP status.
 * @property {number} code An error code or close code of the contract.
 * @property {string} slug The name of the code.
 * @property {string} detail What was wrong with this request, for a developer.
 * @property {number | null} [retry_after_ms] How long to wait before the same request may succeed.
 */

/**
 * Answer of `GET /v1/transports`: what this user should use now, best first.
 *
 * @typedef {object} TransportsReply
 * @property {("websocket" | "sse" | "poll")[]} transports Best first.
 * @property {string} cohort The group of users that this rollout step put the user in.
 * @property {Heartbeat} heartbeat When the edge looks for life on a connection.
 * @property {PollAdvice} poll For whom polling is the transport.
 */

/** @typedef {Publication & {type: "publication", channel: string}} PublicationFrame */

/** @typedef {Connect | Subscribe | Unsubscribe | Publish | Ack | History | Inbox | Presence | Refresh
 *   | Ping | Pong} ClientFrame */

/** @typedef {Connected | Subscribed | PublicationFrame | PositionFrame | Resume | Unsubscribed | Join
 *   | Leave | Ok | AckedFrame | Expiring | Policy | Disconnect | Error | Ping | Pong} EdgeFrame */

// Names.

/** A close code from here to 4999 forbids to reconnect, known or not. */
export const FIRST_TERMINAL_CLOSE = 4500;

export const SUBPROTOCOL = "whimbrel.v1.json";
export const INBOX = "inbox";
export const CHANNEL_PATTERN = /^(inbox|[a-z][a-z0-9-]{0,31}:[A-Za-z0-9_\-:=@~]{1,128})$/;
