"""What the session wants done. The driver carries these out in order, in one ``match``."""

from dataclasses import dataclass

from whimbrel.client.errors import ClientError
from whimbrel.client.events import ChannelEvent, StateChange, Transport
from whimbrel.protocol.frames import ClientFrame, Error, Ok
from whimbrel.protocol.positions import Position


@dataclass(frozen=True, slots=True)
class Dial:
    """Open ``transport`` as ``link`` (a number that is never used again)."""

    link: int
    transport: Transport


@dataclass(frozen=True, slots=True)
class Send:
    """Write a frame on ``link``; over polling that is a command."""

    link: int
    frame: ClientFrame


@dataclass(frozen=True, slots=True)
class Repoll:
    """Ask again on ``link``: the request that waits there names the wrong channels."""

    link: int


@dataclass(frozen=True, slots=True)
class HangUp:
    """Close ``link``; nothing more is heard of it."""

    link: int
    code: int = 1000


@dataclass(frozen=True, slots=True)
class AskToken:
    """Ask the application for a token; answer with ``Session.token`` or ``Session.token_failed``."""


@dataclass(frozen=True, slots=True)
class Refreshed:
    """The token was renewed; or was not, and why."""

    error: ClientError | None


@dataclass(frozen=True, slots=True)
class Opened:
    """The channel is open."""

    channel: str


@dataclass(frozen=True, slots=True)
class Deliver:
    """Hand ``event`` to whoever reads the channel, who then stands at ``position``.

    Without an event only the position moves. ``position`` is None in an ephemeral channel.
    """

    channel: str
    event: ChannelEvent | None
    position: Position | None


@dataclass(frozen=True, slots=True)
class End:
    """The channel is over; ``error`` says why, None where the application wanted it."""

    channel: str
    error: ClientError | None


@dataclass(frozen=True, slots=True)
class Answer:
    """The reply to request ``id``."""

    id: int
    reply: Ok | Error


@dataclass(frozen=True, slots=True)
class Changed:
    """The state of the client changed."""

    change: StateChange


Effect = Dial | Send | Repoll | HangUp | AskToken | Refreshed | Opened | Deliver | End | Answer | Changed
