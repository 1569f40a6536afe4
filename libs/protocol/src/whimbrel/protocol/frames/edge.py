"""Frames from the edge."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

from whimbrel.protocol.frames.client import Ping, Pong
from whimbrel.protocol.frames.frame import Frame, ReplyId, ShownChannel, Slug
from whimbrel.protocol.positions import Epoch, Offset


class Publication(Frame):
    """One publication. In a subscription and in a history answer `channel` stands outside."""

    type: Literal["publication"] = "publication"
    channel: ShownChannel | None = None
    event: str
    """What kind of publication this is: a domain event's `ce-type`, or the `event` of a `publish`."""
    event_id: str
    """The same in every channel that the event reached."""
    time: str
    """When it happened (RFC 3339)."""
    data: Any
    """Any JSON value."""
    offset: Offset | None = None
    """Absent in an ephemeral channel."""
    prev: Offset | None = None
    """The offset before this one in the channel; 0 where none was retained."""
    topic: str | None = None
    """In an inbox: it takes the place of what came before under the same topic, `<domain>:<topic>`."""
    expires: str | None = None
    """In an inbox: not to be shown from then on (RFC 3339)."""
    trace: str | None = None
    """W3C traceparent, only when sampled."""

    @model_serializer(mode="wrap")
    def _keep_null_data(self, fields_of: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields: dict[str, Any] = fields_of(self)
        fields.setdefault("data", None)  # a value here, not an absent field
        return fields


class RefusedChannel(Frame):
    """Why a channel was not opened."""

    code: int
    """An error code."""
    slug: Slug
    message: str
    """For a developer, not for a user."""


class Subscription(Frame):
    """The state of one channel at the moment it was opened."""

    epoch: Epoch | None = None
    """Absent in an ephemeral channel and where `error` is set."""
    offset: Offset | None = None
    """Where `publications` begin: the client sets its position to it, then applies them."""
    recovered: bool | None = None
    """true: nothing since the given position is missing; false: that cannot be proved, reload; absent: no position was
    given.
    """
    publications: tuple[Publication, ...] = ()
    """Oldest first; what does not fit follows as `publication` frames."""
    error: RefusedChannel | None = None
    """The channel was refused; no other field is set."""


class ConnectedLimits(Frame):
    """What the edge accepts from this client."""

    frame_bytes: int
    """Bytes of one message, an array of frames included."""
    channels: int
    """Channels of one connection."""
    publish_per_s: float
    """Publishes per second, averaged, over all connections of the user."""


class Connected(Frame):
    """Answers `connect`."""

    type: Literal["connected"] = "connected"
    id: ReplyId
    session: str
    """Names this session in the logs of the edge."""
    user: str
    """The token's `sub`."""
    expires_in: int
    """Seconds until the token expires."""
    ping: float
    """Seconds of silence after which the edge pings."""
    pong: float
    """Seconds within which it wants an answer."""
    limits: ConnectedLimits
    """What counts on this connection."""
    channels: dict[str, Subscription]
    """Those asked for, `inbox`, and those that the router opened by itself."""
    resume: str | None = None
    """Opaque grant for a reconnect that asks neither auth nor router."""


class Subscribed(Subscription):
    """Answers `subscribe`; without `id` when the router opened the channel, or when a position was lost."""

    type: Literal["subscribed"] = "subscribed"
    id: ReplyId | None = None
    channel: ShownChannel


class PositionFrame(Frame):
    """Stands for a publication that this session may not see; the client advances as if it had."""

    type: Literal["position"] = "position"
    channel: ShownChannel
    offset: Offset
    """Of the publication that is not shown."""
    prev: Offset
    """The offset before it in the channel."""


class Resume(Frame):
    """Replaces the grant received before."""

    type: Literal["resume"] = "resume"
    grant: str
    """Opaque; for `resume` of the next `connect`."""


class Unsubscribed(Frame):
    """Says that the edge closed a channel by itself, and why."""

    type: Literal["unsubscribed"] = "unsubscribed"
    channel: ShownChannel
    code: int
    """An error code."""
    slug: Slug
    reason: str
    """For a developer, not for a user."""


class Join(Frame):
    """A user came into the channel."""

    type: Literal["join"] = "join"
    channel: ShownChannel
    user: str
    """Who."""
    info: Any = None
    """What the user's client told of itself."""


class Leave(Frame):
    """A user left the channel."""

    type: Literal["leave"] = "leave"
    channel: ShownChannel
    user: str
    """Who."""
    info: Any = None
    """What the user's client told of itself."""


class Ok(Frame):
    """Answers a request; which fields are present depends on the request."""

    type: Literal["ok"] = "ok"
    id: ReplyId
    offset: Offset | None = None
    """`publish`: where it was stored; `ack`: where the read mark is now."""
    publications: tuple[Publication, ...] | None = None
    """`history`, `inbox`: oldest first."""
    epoch: Epoch | None = None
    """`history`, `inbox`: of the offsets."""
    unread: int | None = None
    """`inbox`: how many messages are behind the read mark, listed or not."""
    read: Offset | None = None
    """`inbox`: the read mark; 0 where nothing was acknowledged yet."""
    complete: bool | None = None
    """`inbox`: false where the inbox is full of unread messages, so that older ones may have been dropped unread."""
    users: tuple[Any, ...] | None = None
    """`presence`: who is in the channel."""
    expires_in: int | None = None
    """`refresh`: seconds until the new token expires."""


class AckedFrame(Frame):
    """Another device of this user acknowledged."""

    type: Literal["acked"] = "acked"
    channel: ShownChannel
    offset: Offset
    """Up to here."""


class Expiring(Frame):
    """The token expires in `in` seconds: send `refresh`."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True, populate_by_name=True)

    type: Literal["expiring"] = "expiring"
    in_s: Annotated[int, Field(alias="in")]
    """Seconds."""


class Heartbeat(Frame):
    """How the edge finds out that a client is gone."""

    ping: float
    """Seconds of silence after which the edge pings."""
    pong: float
    """Seconds within which it wants an answer."""


class PollAdvice(Frame):
    """How a polling client should poll."""

    interval: float
    """Seconds from an answer to the next poll, sent with `wait` 0, while `poll` is first of `transports`; who polls for
    want of anything better is held by the edge instead, and asks again at once."""


class Policy(Frame):
    """Which transports to use now, best first; as `GET /v1/transports`."""

    type: Literal["policy"] = "policy"
    transports: tuple[Literal["websocket", "sse", "poll"], ...]
    """Best first."""
    cohort: str = "default"
    """The group of users that this rollout step put the user in."""
    heartbeat: Heartbeat
    """When the edge looks for life on a connection."""
    poll: PollAdvice
    """For whom polling is the transport."""


class Disconnect(Frame):
    """Precedes every close by the edge; with 4000 `after_ms` and a few seconds earlier."""

    type: Literal["disconnect"] = "disconnect"
    code: int
    """A close code."""
    slug: Slug
    reason: str
    """For a developer, not for a user."""
    reconnect: bool
    """Whether the client may come back by itself."""
    after_ms: int
    """How long to wait before; wins over the client's own backoff."""


class Error(Frame):
    """A request failed; the connection lives on."""

    type: Literal["error"] = "error"
    id: ReplyId | None = None
    code: int
    """An error code."""
    slug: Slug
    message: str
    """For a developer, not for a user."""
    temporary: bool
    """Whether the same request may succeed later."""
    retry_ms: int | None = None
    """How long to wait before."""


EdgeFrame = (
    Connected
    | Subscribed
    | Publication
    | PositionFrame
    | Resume
    | Unsubscribed
    | Join
    | Leave
    | Ok
    | AckedFrame
    | Expiring
    | Policy
    | Disconnect
    | Error
    | Ping
    | Pong
)
