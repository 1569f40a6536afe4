"""Bodies of the HTTP endpoints of edge, auth and router."""

from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from whimbrel.protocol.frames import Frame, Heartbeat, PollAdvice, Slug
from whimbrel.protocol.gaps import Gap
from whimbrel.protocol.limits import (
    MAX_CHANNELS,
    MAX_FRAMES_PER_MESSAGE,
    MAX_POLL_LIMIT,
    MAX_POLL_WAIT_S,
    POLL_LIMIT,
    POLL_WAIT_S,
)
from whimbrel.protocol.namespaces import Grant, Namespace
from whimbrel.protocol.positions import Epoch, Offset, Position
from whimbrel.protocol.rpc import ServiceStatus
from whimbrel.protocol.sessions import SessionRecord

Transport = Literal["websocket", "sse", "poll"]

# --- edge -----------------------------------------------------------------------------------------------------------


class PollRequest(Frame):
    """Body of `POST /v1/poll`: what the client has, and how long it would wait."""

    channels: Annotated[dict[str, Position | None], Field(max_length=MAX_CHANNELS)]
    """Channels with the position to go on from; null: as a subscription without a position."""
    wait: Annotated[float, Field(ge=0, le=MAX_POLL_WAIT_S, strict=True)] = POLL_WAIT_S
    """Seconds to wait for a publication; 0 answers at once."""
    limit: Annotated[int, Field(ge=1, le=MAX_POLL_LIMIT, strict=True)] = POLL_LIMIT
    """Publications per answer; more wait for the next poll."""


class PollReply(Frame):
    """Answer of `/v1/poll`."""

    frames: tuple[dict[str, Any], ...]
    """Publications, and what is to be told of the channels."""
    channels: dict[str, Position | None]
    """Positions to send with the next poll, as they are: that of an ephemeral channel says only that it is open."""


class CommandsRequest(Frame):
    """Body of `POST /v1/commands`."""

    frames: Annotated[tuple[dict[str, Any], ...], Field(max_length=MAX_FRAMES_PER_MESSAGE)]
    """In the order in which they are to be answered."""


class CommandsReply(Frame):
    """Answer of `POST /v1/commands`."""

    frames: tuple[dict[str, Any], ...]
    """Replies in the order of the frames; frames without a reply leave none."""


class InboxReply(Frame):
    """Answer of `GET /v1/inbox`: as that of the `inbox` frame."""

    epoch: Epoch
    """Of the offsets."""
    read: Offset
    """The read mark; 0 where nothing was acknowledged yet."""
    unread: int
    """How many messages are behind the read mark, listed or not."""
    complete: bool
    """False where the inbox is full of unread messages, so that older ones may have been dropped unread."""
    publications: tuple[dict[str, Any], ...]
    """Oldest first, each as in a `history` answer."""


class TransportsReply(Frame):
    """Answer of `GET /v1/transports`: what this user should use now, best first."""

    transports: tuple[Transport, ...]
    """Best first."""
    cohort: str
    """The group of users that this rollout step put the user in."""
    heartbeat: Heartbeat
    """When the edge looks for life on a connection."""
    poll: PollAdvice
    """For whom polling is the transport."""


class Preferences(Frame):
    """The user's own choice of transport."""

    transport: Literal["auto", "websocket", "poll"]
    """`auto` leaves it to the policy."""


# --- auth -----------------------------------------------------------------------------------------------------------


class TokenRequest(Frame):
    """Body of `POST /v1/tokens`; a service key mints for any user."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True, extra="forbid")

    user: Annotated[str, Field(min_length=1, max_length=512)]
    """The `sub` of the token; any text."""
    groups: tuple[Annotated[str, Field(min_length=1, max_length=128)], ...] = ()
    """Groups that the user is in while the token lives, besides those that the router knows."""
    channels: tuple[Grant, ...] = ()
    """Channels that the token opens, besides what the namespaces allow everybody."""
    claims: Annotated[dict[str, Any], Field(default_factory=dict)]
    """Further claims; those of the contract cannot be set here."""
    ttl: Annotated[int, Field(ge=1, le=24 * 3600, strict=True)] = 3600
    """Seconds that the access token lives."""


class TokenReply(Frame):
    """Tokens for one user."""

    access_token: str
    """A JWT."""
    refresh_token: str
    """Good for one refresh; the reuse of an old one revokes the family."""
    token_type: Literal["Bearer"] = "Bearer"
    expires_in: int
    """Seconds that the access token lives."""


class RefreshRequest(Frame):
    """Body of `POST /v1/tokens/refresh`."""

    refresh_token: Annotated[str, Field(min_length=1, max_length=1024)]
    """The newest of its family."""


class RevokeRequest(Frame):
    """Body of `POST /v1/tokens/revoke`: exactly one of `user`, `jti` and `refresh_token`."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True, extra="forbid")

    user: Annotated[str, Field(min_length=1, max_length=512)] | None = None
    """All tokens of this user."""
    jti: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    """This access token."""
    refresh_token: Annotated[str, Field(min_length=1, max_length=1024)] | None = None
    """The family of this refresh token."""
    issued_before: Annotated[int, Field(ge=0, strict=True)] | None = None
    """Only tokens issued before this Unix second; absent: before now."""

    @model_validator(mode="after")
    def _one_target(self) -> Self:
        if sum(each is not None for each in (self.user, self.jti, self.refresh_token)) != 1:
            raise ValueError("name exactly one of user, jti and refresh_token")
        return self


class TicketReply(Frame):
    """Answer of `POST /v1/tickets`."""

    ticket: str
    """Stands for the access token in a URL, once."""
    expires_in: int
    """Seconds."""


class KeySetReply(Frame):
    """Answer of `GET /.well-known/jwks.json`: a JSON Web Key Set (RFC 7517)."""

    keys: tuple[dict[str, Any], ...]
    """Public keys only."""


# --- router ---------------------------------------------------------------------------------------------------------


class MembersReply(Frame):
    """Answer of `GET /v1/groups/{group}/members`."""

    group: str
    members: tuple[str, ...]
    """Users, sorted; members by a token alone are not among them."""


class GroupsReply(Frame):
    """Answer of `GET /v1/users/{user}/groups`."""

    user: str
    groups: tuple[str, ...]
    """Sorted; groups by a token alone are not among them."""


class NamespacesReply(Frame):
    """Answer of `GET /v1/namespaces`."""

    namespaces: dict[str, Namespace]
    """The rules of each namespace, by its name."""


class StreamStatus(Frame):
    """A stream as the bus sees it."""

    name: str
    messages: int
    bytes: int
    first: int
    """Sequence of the oldest message retained."""
    last: int
    """Sequence of the newest message."""
    leader: str = ""
    """The server that takes its messages; empty while one is elected, or where the only server has no name for it."""
    replicas: int = 1
    """Servers that keep it."""


class ConsumerLag(Frame):
    """How far the notifier is behind in one partition of the events."""

    partition: int
    pending: int
    """Events not read yet."""
    unacknowledged: int
    """Events read, and not yet published or put aside."""


class StatusReply(Frame):
    """Answer of `GET /v1/status`."""

    services: tuple[ServiceStatus, ...]
    """Every process that answered in time, and one with `pid` 0 that is not ready for each role of which none did."""
    streams: tuple[StreamStatus, ...]
    lag: tuple[ConsumerLag, ...]
    dead_letters: int
    """Events that could not be delivered."""


class SessionReply(Frame):
    """Answer of `GET /v1/sessions/{session}`: how a session ended, or how it is."""

    record: SessionRecord
    """As its pod told it last."""
    fate: Literal["open", "ended", "vanished", "unknown"]
    """`vanished`: its pod died without a word; `unknown`: its pod lives and knows nothing of it."""
    slug: str
    """Of the close code where the edge ended it; otherwise one word for what happened."""
    advice: str
    """What that means, and what the client does or should do."""
    pod_heard_at: float | None
    """When the pod last gave a sign of life (Unix s)."""


class SessionsReply(Frame):
    """Answer of `GET /v1/sessions`."""

    sessions: tuple[SessionReply, ...]
    """Those that live, then those that ended, the latest first."""


class GapsReply(Frame):
    """Answer of `GET /v1/gaps`."""

    gaps: tuple[Gap, ...]
    """The latest first."""
    complete: bool
    """False: there are more that were asked for, further back."""


class DeadLetter(Frame):
    """An event that could not be delivered."""

    sequence: int
    """Its place among the dead letters; `after` of the next request."""
    time: str
    """When it was put aside (RFC 3339)."""
    subject: str
    """What the domain team published to."""
    event_sequence: int
    """Its place among the events."""
    code: str
    """Why, in one word."""
    reason: str
    """Why, in a sentence."""
    headers: dict[str, str]
    """As the domain team sent them."""
    data: str
    """The payload as text; what is not UTF-8 in it is replaced."""


class DeadLettersReply(Frame):
    """Answer of `GET /v1/dlq`."""

    letters: tuple[DeadLetter, ...]
    """Oldest first."""
    after: int
    """Up to here all were looked at: `after` of the next request."""
    complete: bool
    """Whether there are none behind that."""


class ReplayReply(Frame):
    """Answer of `POST /v1/dlq/{number}/replay`."""

    event_sequence: int
    """The place of the event published again, among the events."""
    repeated: bool
    """It had been published again before; this time only the dead letter was removed."""


# --- every service ----------------------------------------------------------------------------------------------------


class Problem(Frame):
    """An HTTP error as `application/problem+json` (RFC 9457)."""

    type: str = "about:blank"
    """No page of its own: `code` says it."""
    title: str
    """The phrase of the HTTP status."""
    status: int
    """The HTTP status."""
    code: int
    """An error code or close code of the contract."""
    slug: Slug
    detail: str
    """What was wrong with this request, for a developer."""
    retry_after_ms: int | None = None
    """How long to wait before the same request may succeed."""
