"""Frames: what client and edge say to each other, over every transport.

``decode`` reads what a client sent; it either raises (the connection closes) or yields frames and refusals in order.
Models of the edge's
frames are what clients decode into and what the schemas are generated from; the edge writes publications without them.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

import pydantic_core
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from whimbrel.protocol.codes import ErrorCode
from whimbrel.protocol.errors import FrameTooLarge, MalformedFrame, Refused
from whimbrel.protocol.limits import (
    HISTORY_LIMIT,
    MAX_CHANNELS,
    MAX_DEVICE_CHARS,
    MAX_EVENT_NAME_CHARS,
    MAX_FRAME_BYTES,
    MAX_FRAMES_PER_MESSAGE,
    MAX_GRANT_BYTES,
    MAX_ID,
    MAX_KEY_CHARS,
    MAX_TOKEN_BYTES,
)
from whimbrel.protocol.positions import ChannelText, Epoch, Offset, Position

RequestId = Annotated[int, Field(ge=1, le=MAX_ID, strict=True)]
Token = Annotated[str, Field(max_length=MAX_TOKEN_BYTES)]


class Frame(BaseModel):
    """A JSON object with `type`; fields that this version does not know are ignored."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


# --- from the client --------------------------------------------------------------------------------------------------


class Connect(Frame):
    """Authenticates the connection and, in the same step, subscribes and recovers."""

    type: Literal["connect"] = "connect"
    id: RequestId
    token: Token | None = None
    """An access token; not needed beside a bearer header, a ticket or a valid `resume`."""
    resume: Annotated[str, Field(max_length=MAX_GRANT_BYTES)] | None = None
    """The grant of the previous `connected` or `resume` frame."""
    device: Annotated[str, Field(max_length=MAX_DEVICE_CHARS)] | None = None
    """Stable per installation."""
    client: Annotated[str, Field(max_length=128)] | None = None
    """Name and version of the client library."""
    channels: Annotated[dict[str, Position | None], Field(max_length=MAX_CHANNELS)] = {}
    """Channels to subscribe to, each with the position to recover from, or null."""


class Subscribe(Frame):
    """Opens a channel. With neither `position` nor `last` it starts from now, and `inbox` from the user's read mark."""

    type: Literal["subscribe"] = "subscribe"
    id: RequestId
    channel: ChannelText
    position: Position | None = None
    """Recover from here."""
    last: Annotated[int, Field(ge=0, le=HISTORY_LIMIT, strict=True)] | None = None
    """That many of the most recent publications, when there is no position."""


class Unsubscribe(Frame):
    """Closes a channel."""

    type: Literal["unsubscribe"] = "unsubscribe"
    id: RequestId
    channel: ChannelText


class Publish(Frame):
    """Publishes to a channel whose namespace lets clients do so."""

    type: Literal["publish"] = "publish"
    id: RequestId
    channel: ChannelText
    event: Annotated[str, Field(min_length=1, max_length=MAX_EVENT_NAME_CHARS)]
    data: Any
    key: Annotated[str, Field(min_length=1, max_length=MAX_KEY_CHARS)] | None = None
    """Idempotency key: a repeat within the stream's window is stored once."""


class Ack(Frame):
    """Everything up to `offset` was handled; moves the user's read mark on all devices."""

    type: Literal["ack"] = "ack"
    id: RequestId | None = None
    channel: ChannelText
    offset: Offset


class History(Frame):
    """Reads retained publications: oldest first after `after`, or the newest ones before `before`."""

    type: Literal["history"] = "history"
    id: RequestId
    channel: ChannelText
    after: Offset | None = None
    before: Offset | None = None
    limit: Annotated[int, Field(ge=1, le=HISTORY_LIMIT, strict=True)] = HISTORY_LIMIT


class Presence(Frame):
    """Asks who is in a channel."""

    type: Literal["presence"] = "presence"
    id: RequestId
    channel: ChannelText


class Refresh(Frame):
    """Renews the session with a new token, in place."""

    type: Literal["refresh"] = "refresh"
    id: RequestId
    token: Token


class Ping(Frame):
    """Asks the other side for a `pong`."""

    type: Literal["ping"] = "ping"


class Pong(Frame):
    """Answers `ping`; any frame counts as life."""

    type: Literal["pong"] = "pong"


ClientFrame = Connect | Subscribe | Unsubscribe | Publish | Ack | History | Presence | Refresh | Ping | Pong

# --- from the edge ----------------------------------------------------------------------------------------------------


class Publication(Frame):
    """One publication. In a subscription and in a history answer `channel` stands outside."""

    type: Literal["publication"] = "publication"
    channel: str | None = None
    event: str
    event_id: str
    time: str
    data: Any = None
    offset: Offset | None = None
    """Absent in an ephemeral channel."""
    prev: Offset | None = None
    """The offset before this one in the channel; 0 where none was retained."""
    trace: str | None = None
    """W3C traceparent, only when sampled."""


class RefusedChannel(Frame):
    """Why a channel was not opened."""

    code: int
    slug: str
    message: str


class Subscription(Frame):
    """The state of one channel at the moment it was opened."""

    epoch: Epoch | None = None
    """Absent in an ephemeral channel and where `error` is set."""
    offset: Offset | None = None
    """Where `publications` begin: the client sets its position to it, then applies them."""
    recovered: bool | None = None
    """true: `publications` is all since the given position; false: that cannot be proved, reload; absent: no position
    was given.
    """
    publications: tuple[Publication, ...] = ()
    error: RefusedChannel | None = None


class ConnectedLimits(Frame):
    """What the edge accepts from this client."""

    frame_bytes: int
    channels: int
    publish_per_s: float


class Connected(Frame):
    """Answers `connect`."""

    type: Literal["connected"] = "connected"
    id: RequestId
    session: str
    user: str
    expires_in: int
    """Seconds until the token expires."""
    ping: float
    """Seconds of silence after which the edge pings."""
    pong: float
    """Seconds within which it wants an answer."""
    limits: ConnectedLimits
    channels: dict[str, Subscription]
    resume: str | None = None
    """Opaque grant for a reconnect that asks neither auth nor router."""


class Subscribed(Subscription):
    """Answers `subscribe`; without `id` when the router opened the channel, or when a position was lost."""

    type: Literal["subscribed"] = "subscribed"
    id: RequestId | None = None
    channel: str


class PositionFrame(Frame):
    """A publication that this session may not see; the client advances as if it had."""

    type: Literal["position"] = "position"
    channel: str
    offset: Offset
    prev: Offset


class Resume(Frame):
    """Replaces the grant received before."""

    type: Literal["resume"] = "resume"
    grant: str


class Unsubscribed(Frame):
    """A channel was closed, by request (without `code`) or by the edge (`code` is an error code)."""

    type: Literal["unsubscribed"] = "unsubscribed"
    channel: str
    code: int
    slug: str
    reason: str


class Join(Frame):
    """A user came into the channel."""

    type: Literal["join"] = "join"
    channel: str
    user: str
    info: Any = None


class Leave(Frame):
    """A user left the channel."""

    type: Literal["leave"] = "leave"
    channel: str
    user: str
    info: Any = None


class Ok(Frame):
    """Answers a request; which fields are present depends on the request."""

    type: Literal["ok"] = "ok"
    id: RequestId
    offset: Offset | None = None
    publications: tuple[Publication, ...] | None = None
    epoch: Epoch | None = None
    users: tuple[Any, ...] | None = None
    expires_in: int | None = None


class AckedFrame(Frame):
    """Another device of this user acknowledged."""

    type: Literal["acked"] = "acked"
    channel: str
    offset: Offset


class Expiring(Frame):
    """The token expires in `in` seconds: send `refresh`."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True, populate_by_name=True)

    type: Literal["expiring"] = "expiring"
    in_s: Annotated[int, Field(alias="in")]


class Heartbeat(Frame):
    """Seconds of silence before a ping, and seconds to answer it."""

    ping: float
    pong: float


class PollAdvice(Frame):
    """How a polling client should poll."""

    interval: float
    """Seconds between two polls."""


class Policy(Frame):
    """Which transports to use now, best first; as `GET /v1/transports`."""

    type: Literal["policy"] = "policy"
    transports: tuple[Literal["websocket", "sse", "poll"], ...]
    cohort: str = "default"
    heartbeat: Heartbeat
    poll: PollAdvice


class Disconnect(Frame):
    """Precedes every close by the edge."""

    type: Literal["disconnect"] = "disconnect"
    code: int
    slug: str
    reason: str
    reconnect: bool
    after_ms: int


class Error(Frame):
    """A request failed; the connection lives on."""

    type: Literal["error"] = "error"
    id: RequestId | None = None
    code: int
    slug: str
    message: str
    temporary: bool
    retry_ms: int | None = None


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

CLIENT_FRAME: Final[TypeAdapter[ClientFrame]] = TypeAdapter(Annotated[ClientFrame, Field(discriminator="type")])
EDGE_FRAME: Final[TypeAdapter[EdgeFrame]] = TypeAdapter(Annotated[EdgeFrame, Field(discriminator="type")])


def decode(message: bytes, *, limit: int = MAX_FRAME_BYTES) -> list[ClientFrame | Refused]:
    """Read one message of a client: an object, or an array of at most 256 objects.

    What is well formed but not a known, valid frame comes back as ``Refused`` with the frame's `id` where it has one.
    Raises FrameTooLarge and MalformedFrame: after these the connection closes.
    """
    if len(message) > limit:
        raise FrameTooLarge(f"the message has {len(message)} bytes, at most {limit} are taken")
    try:
        value = pydantic_core.from_json(message, allow_inf_nan=False)
    except ValueError as error:
        raise MalformedFrame(f"the message is not JSON: {error}") from None
    objects: list[Any] = value if isinstance(value, list) else [value]
    if len(objects) > MAX_FRAMES_PER_MESSAGE:
        raise MalformedFrame(f"the message holds {len(objects)} frames, at most {MAX_FRAMES_PER_MESSAGE} are taken")
    if not all(isinstance(each, dict) for each in objects):
        raise MalformedFrame("a message is a JSON object or an array of objects")
    return [decode_object(each) for each in objects]


def decode_object(fields: dict[str, Any]) -> ClientFrame | Refused:
    """Read one frame from its JSON object; what is not a frame of the contract comes back as ``Refused`` (107)."""
    try:
        return CLIENT_FRAME.validate_python(fields)
    except ValidationError as error:
        return Refused(ErrorCode.BAD_REQUEST, _why(error), frame_id=_id_of(fields))


def decode_edge(message: bytes | str) -> list[EdgeFrame]:
    """Read one message of the edge, for clients; frames of a type that this version does not know are left out.

    Raises MalformedFrame where the message is not JSON or a known frame breaks its schema.
    """
    try:
        value = pydantic_core.from_json(message)
    except ValueError as error:
        raise MalformedFrame(f"the edge's message is not JSON: {error}") from None
    return [frame for each in (value if isinstance(value, list) else [value]) for frame in decode_edge_object(each)]


def decode_edge_object(fields: Any) -> Sequence[EdgeFrame]:
    """Read one frame of the edge from its JSON object; empty for a type that this version does not know.

    Raises MalformedFrame.
    """
    try:
        return (EDGE_FRAME.validate_python(fields),)
    except ValidationError as error:
        if error.errors(include_url=False)[0]["type"] == "union_tag_invalid":
            return ()
        raise MalformedFrame(f"the edge's frame breaks the contract: {_why(error)}") from None


def encode(frame: Frame) -> bytes:
    """Return the JSON of ``frame`` without the fields that are absent."""
    return frame.model_dump_json(exclude_none=True, by_alias=True).encode()


def _id_of(fields: dict[str, Any]) -> int | None:
    value = fields.get("id")
    return value if type(value) is int and 1 <= value <= MAX_ID else None


def _why(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg']}"[:300] if where else first["msg"][:300]
