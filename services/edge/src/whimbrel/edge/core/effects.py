"""What a session wants done. The shell carries these out in order, in one ``match``."""

from dataclasses import dataclass

from whimbrel.edge.core.identity import Identity
from whimbrel.protocol.channels import Channel
from whimbrel.protocol.codes import CloseCode, ErrorCode
from whimbrel.protocol.frames import Ack, History, Presence, Publish
from whimbrel.protocol.positions import Position


@dataclass(frozen=True, slots=True)
class Send:
    """Write one message: the JSON of a frame, or of an array of frames."""

    message: bytes


@dataclass(frozen=True, slots=True)
class Close:
    """Close the transport; the `disconnect` frame was sent before."""

    code: CloseCode


@dataclass(frozen=True, slots=True)
class Identify:
    """Have ``resume`` or else ``token`` checked; answer with ``Session.identified``, or ``Session.refreshed`` for a
    refresh.
    """

    token: str | None
    resume: str | None
    refresh_id: int | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """A channel to open under ``name``: from ``position``, else the ``last`` publications, else (``from_mark``) the
    read mark, else from now.
    """

    name: str
    channel: Channel
    position: Position | None = None
    last: int | None = None
    from_mark: bool = False


@dataclass(frozen=True, slots=True)
class Open:
    """Open and recover channels; attach them all in one step with ``Session.opened``.

    ``request`` is the `id` of a subscribe, None for channels that the router opens, and 0 for those of `connect`.
    """

    wanted: tuple[Wanted, ...]
    request: int | None


@dataclass(frozen=True, slots=True)
class Detach:
    """Stop delivering a channel."""

    channel: Channel


@dataclass(frozen=True, slots=True)
class Execute:
    """Carry out a request that needs the bus, send its reply, then call ``Session.finished``."""

    frame: Publish | Ack | History | Presence
    channel: Channel


Effect = Send | Close | Identify | Open | Detach | Execute


@dataclass(frozen=True, slots=True)
class Identified:
    """Auth and router know the client; ``grant`` resumes the session, None where it would not fit."""

    identity: Identity
    grant: str | None


@dataclass(frozen=True, slots=True)
class Rejected:
    """The client may not come in: ``close`` ends a connect, ``error`` answers a refresh or an HTTP request."""

    close: CloseCode
    error: ErrorCode
    reason: str
    after_ms: int = 0
