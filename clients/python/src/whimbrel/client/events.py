"""What an application hears: of one channel, and of the connection."""

from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

from whimbrel.protocol.frames import Publication
from whimbrel.protocol.positions import Position

__all__ = [
    "Acked",
    "ChannelEvent",
    "Joined",
    "Left",
    "Publication",
    "Recovered",
    "Reset",
    "State",
    "StateChange",
    "Transport",
]

Transport = Literal["websocket", "sse", "poll"]


@dataclass(frozen=True, slots=True)
class Recovered:
    """The channel was opened again and nothing is missing: all since ``position`` follows."""

    channel: str
    position: Position


@dataclass(frozen=True, slots=True)
class Reset:
    """Publications are missing and cannot be recovered: reload the state. What follows begins after ``position``."""

    channel: str
    position: Position


@dataclass(frozen=True, slots=True)
class Acked:
    """Another device of this user has handled everything up to ``offset``."""

    channel: str
    offset: int


@dataclass(frozen=True, slots=True)
class Joined:
    """A user came into the channel."""

    channel: str
    user: str
    info: Any = None


@dataclass(frozen=True, slots=True)
class Left:
    """A user left the channel."""

    channel: str
    user: str
    info: Any = None


ChannelEvent = Publication | Recovered | Reset | Acked | Joined | Left


class State(Enum):
    """Where a client is; ``CLOSED`` is the end."""

    DISCONNECTED = "disconnected"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class StateChange:
    """The client came into ``state``.

    ``code`` and ``reason`` say why: a close code of the contract, 1000 for the application's own doing, 1006 where the
    connection broke without a word, 3000 where the token provider failed. ``retry_s`` is when the next try follows,
    None where none is planned.
    """

    state: State
    code: int = 1000
    reason: str = ""
    transport: Transport | None = None
    retry_s: float | None = None
