"""What time asks of a session: to authenticate in time, to be heard, to keep its token fresh.

Times are seconds of a monotonic clock, ``wall`` is Unix seconds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from math import ceil
from typing import Final

from whimbrel.protocol.limits import (
    CONNECT_TIMEOUT_S,
    EXPIRY_GRACE_S,
    EXPIRY_NOTICE_S,
    MAX_CHANNELS,
    MAX_FRAME_BYTES,
    PING_S,
    PONG_S,
)


@dataclass(frozen=True, slots=True, eq=False)
class Terms:
    """What the edge grants every session; one object for all. Times in seconds, rates per second."""

    ping: float = PING_S
    pong: float = PONG_S
    connect_timeout: float = CONNECT_TIMEOUT_S
    max_age: float = 3600.0
    frame_bytes: int = MAX_FRAME_BYTES
    channels: int = MAX_CHANNELS
    publish_per_s: float = 100.0  # of the user
    frames_per_s: float = 200.0
    bytes_per_s: float = 256 * 1024


class Due(Enum):
    """What is due."""

    NOTICE = auto()  # tell the client that the token expires
    PING = auto()
    EXPIRED = auto()  # the token, and the grace after it
    SILENT = auto()  # nobody answered the ping


AGE_SPREAD: Final = 0.25  # of the most: who came together leaves over a quarter of an hour of each hour
BEAT: Final = 0.04  # of the ping interval, a second of 25: pings wait that long at most, and go out together
ONLY_PING: Final = (Due.PING,)  # of 10,000 silent clients, 400 times a second
_SILENT: Final = (Due.SILENT,)
_NEVER: Final = 0.0


class Liveness:
    """When a session was heard, pinged and warned: the part of a session that time concerns. Not an object of its own,
    which would cost each connection 48 bytes.
    """

    __slots__ = ("_born", "_heard", "_pinged", "_warned")

    def __init__(self, *, now: float) -> None:
        self._born = now
        self._heard = now
        self._pinged = _NEVER  # when a ping went out that nothing has answered yet
        self._warned = False

    @property
    def born(self) -> float:
        """When the session began."""
        return self._born

    def heard(self, *, now: float) -> None:
        """Note a sign of life: a message, or a frame of the transport itself."""
        self._heard = now
        self._pinged = _NEVER

    @property
    def pinged(self) -> float:
        """When a ping went out that nothing has answered yet; 0 where none is out."""
        return self._pinged

    def acknowledged(self) -> None:
        """Note that the ping has arrived, where nobody can answer it: the client lived when it went out."""
        self.heard(now=self._pinged)

    def renewed(self) -> None:
        """Note that the token was refreshed: its end will be announced anew."""
        self._warned = False

    def late(self, terms: Terms, *, now: float) -> bool:
        """Tell whether a session that is not open yet has had its time; signs of life do not prolong it."""
        return now >= self.overdue(terms)

    def overdue(self, terms: Terms) -> float:
        """Return when a session that is not open by then is late."""
        return self._born + terms.connect_timeout

    def aged(self, terms: Terms, *, share: float) -> float:
        """Return when the session is as old as it may become; ``share`` of 0 to 1 is its place among all sessions."""
        return self._born + terms.max_age * (1.0 - AGE_SPREAD * share)

    def next_due(self, terms: Terms, *, expires: float, now: float, wall: float) -> float:
        """Return when something will be due in an open session whose token ends at ``expires`` (Unix s)."""
        if self._pinged:
            heartbeat = self._pinged + terms.pong
        else:  # together with others: a ping alone finds no cache warm, and its pong wakes us alone
            beat = terms.ping * BEAT
            heartbeat = ceil((self._heard + terms.ping) / beat) * beat
        token = now - wall + (expires + EXPIRY_GRACE_S if self._warned else expires - EXPIRY_NOTICE_S)
        return heartbeat if heartbeat < token else token

    def due(self, terms: Terms, *, expires: float, now: float, wall: float) -> Sequence[Due]:
        """Return what is due in an open session whose token ends at ``expires`` (Unix s), and note it as done."""
        left = expires - wall
        if left > EXPIRY_NOTICE_S or (self._warned and left > -EXPIRY_GRACE_S):
            return self._beat(terms, now)
        if left <= -EXPIRY_GRACE_S:
            return (Due.EXPIRED,)
        self._warned = True
        return (Due.NOTICE, *self._beat(terms, now))

    def _beat(self, terms: Terms, now: float) -> Sequence[Due]:
        if self._pinged:
            return _SILENT if now >= self._pinged + terms.pong else ()
        if now < self._heard + terms.ping:
            return ()
        self._pinged = now
        return ONLY_PING
