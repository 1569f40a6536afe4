"""What a session wants done. The shell carries these out in order, in one ``match``.

Tuples: they cost a third of what frozen dataclasses do, and a connect makes a dozen.
"""

from dataclasses import dataclass
from typing import NamedTuple

from whimbrel.edge.core.identity import Identity
from whimbrel.protocol.channels import Channel
from whimbrel.protocol.codes import CloseCode, ErrorCode
from whimbrel.protocol.frames import Ack, History, Inbox, Presence, Publish
from whimbrel.protocol.positions import Position


class Send(NamedTuple):
    """Write one message: the JSON of a frame, or of an array of frames."""

    message: bytes


class Close(NamedTuple):
    """Close the transport; the `disconnect` frame was sent before."""

    code: CloseCode


class Identify(NamedTuple):
    """Have ``resume`` or else ``token`` checked; answer with ``Session.identified``, or ``Session.refreshed`` for a
    refresh.
    """

    token: str | None
    resume: str | None
    refresh_id: int | None = None


class Wanted(NamedTuple):
    """A channel to open under ``name``: from ``position``, else the ``last`` publications, else (``from_mark``) the
    read mark, else from now.
    """

    name: str
    channel: Channel
    position: Position | None = None
    last: int | None = None
    from_mark: bool = False


class Open(NamedTuple):
    """Open and recover channels; attach them all in one step with ``Session.opened``.

    ``request`` is the `id` of a subscribe, None for channels that the router opens, and 0 for those of `connect`.
    """

    wanted: tuple[Wanted, ...]
    request: int | None


class Detach(NamedTuple):
    """Stop delivering a channel."""

    channel: Channel


Request = Publish | Ack | History | Inbox | Presence


class Execute(NamedTuple):
    """Carry out a request that needs the bus, send its reply, then call ``Session.finished``."""

    frame: Request
    channel: Channel


Effect = Send | Close | Identify | Open | Detach | Execute


class Identified(NamedTuple):
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
