"""Bodies of the HTTP endpoints: the edge's and auth's."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from whimbrel.protocol.frames import Frame, Heartbeat, PollAdvice
from whimbrel.protocol.limits import (
    MAX_CHANNELS,
    MAX_FRAMES_PER_MESSAGE,
    MAX_POLL_LIMIT,
    MAX_POLL_WAIT_S,
    POLL_LIMIT,
    POLL_WAIT_S,
)
from whimbrel.protocol.namespaces import Grant
from whimbrel.protocol.positions import Position

Transport = Literal["websocket", "sse", "poll"]


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
    channels: dict[str, Position | None]
    """Positions to send with the next poll; null for an ephemeral channel."""


class CommandsRequest(Frame):
    """Body of `POST /v1/commands`."""

    frames: Annotated[tuple[dict[str, Any], ...], Field(max_length=MAX_FRAMES_PER_MESSAGE)]


class CommandsReply(Frame):
    """Replies in the order of the frames; frames without a reply leave none."""

    frames: tuple[dict[str, Any], ...]


class TransportsReply(Frame):
    """Answer of `GET /v1/transports`: what this user should use now, best first."""

    transports: tuple[Transport, ...]
    cohort: str
    heartbeat: Heartbeat
    poll: PollAdvice


class TokenRequest(Frame):
    """Body of `POST /v1/tokens`; a service key mints for any user."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True, extra="forbid")

    user: Annotated[str, Field(min_length=1, max_length=512)]
    groups: tuple[Annotated[str, Field(min_length=1, max_length=128)], ...] = ()
    channels: tuple[Grant, ...] = ()
    claims: Annotated[dict[str, Any], Field(default_factory=dict)]
    """Further claims; those of the contract cannot be set here."""
    ttl: Annotated[int, Field(ge=1, le=24 * 3600)] = 3600
    """Seconds."""


class TokenReply(Frame):
    """Tokens for one user."""

    access_token: str
    refresh_token: str
    token_type: Literal["Bearer"] = "Bearer"
    expires_in: int
    """Seconds."""


class RefreshRequest(Frame):
    """Body of `POST /v1/tokens/refresh`."""

    refresh_token: Annotated[str, Field(min_length=1, max_length=1024)]


class Problem(Frame):
    """An HTTP error as `application/problem+json` (RFC 9457)."""

    type: str = "about:blank"
    title: str
    status: int
    code: int
    """An error code or close code of the contract."""
    slug: str
    detail: str
    retry_after_ms: int | None = None
