"""Frames from the client."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from whimbrel.protocol.channels import INBOX
from whimbrel.protocol.frames.frame import Data, Frame, RequestId, Token
from whimbrel.protocol.limits import (
    HISTORY_LIMIT,
    MAX_CHANNELS,
    MAX_CLIENT_CHARS,
    MAX_DEVICE_CHARS,
    MAX_EVENT_NAME_CHARS,
    MAX_GRANT_BYTES,
    MAX_KEY_CHARS,
)
from whimbrel.protocol.positions import ChannelText, Offset, Position


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
    client: Annotated[str, Field(max_length=MAX_CLIENT_CHARS)] | None = None
    """Name and version of the client library."""
    channels: Annotated[dict[str, Position | None], Field(max_length=MAX_CHANNELS, default_factory=dict)]
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
    """What kind of publication this is; the application's own word."""
    data: Data
    """Any JSON value, null included."""
    key: Annotated[str, Field(min_length=1, max_length=MAX_KEY_CHARS)] | None = None
    """Idempotency key: a repeat within the stream's window is stored once."""

    @model_serializer(mode="wrap")
    def _keep_null_data(self, fields_of: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields: dict[str, Any] = fields_of(self)
        fields.setdefault("data", None)  # a value here, not an absent field
        return fields


class Ack(Frame):
    """Says that everything up to `offset` was handled; moves the user's read mark on all devices."""

    type: Literal["ack"] = "ack"
    id: RequestId | None = None
    channel: ChannelText
    offset: Offset
    """Of the last publication handled."""


class History(Frame):
    """Reads retained publications: oldest first after `after`, or the newest ones before `before`."""

    type: Literal["history"] = "history"
    id: RequestId
    channel: ChannelText
    after: Offset | None = None
    """Only publications with a greater offset."""
    before: Offset | None = None
    """Only publications with a smaller offset."""
    limit: Annotated[int, Field(ge=1, le=HISTORY_LIMIT, strict=True)] = HISTORY_LIMIT
    """Most publications in the answer."""


class Inbox(Frame):
    """Asks what is in the user's inbox now, and how much of it is unread. Subscribing to nothing."""

    channel: ClassVar[str] = INBOX  # as in other requests, but there is only one
    type: Literal["inbox"] = "inbox"
    id: RequestId
    unread: Annotated[bool, Field(strict=True)] = False
    """Only what is behind the read mark."""
    before: Offset | None = None
    """Only messages with a smaller offset: the page before."""
    limit: Annotated[int, Field(ge=0, le=HISTORY_LIMIT, strict=True)] = HISTORY_LIMIT
    """Most messages in the answer, the newest ones; 0 only counts."""


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
    """A token of the same user."""


class Ping(Frame):
    """Asks the other side for a `pong`."""

    type: Literal["ping"] = "ping"


class Pong(Frame):
    """Answers `ping`; any frame counts as life."""

    type: Literal["pong"] = "pong"


ClientFrame = Connect | Subscribe | Unsubscribe | Publish | Ack | History | Inbox | Presence | Refresh | Ping | Pong
