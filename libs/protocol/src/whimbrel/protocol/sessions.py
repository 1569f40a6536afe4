"""What is known of a session: asked of the edges while it lives, read from stream SESSIONS when it has ended.

An edge writes what began and what ended once a second, as one ``SessionBatch``; nothing is written per frame. So that
a pod that was killed is missed, each tells every few seconds that it lives (``PodBeat`` in bucket PODS).
"""

from typing import Literal, NamedTuple

from whimbrel.protocol.rpc import Message

KEPT_S = 24 * 3600  # how long the end of a session is remembered; SESSIONS_BYTES may shorten it
SESSIONS_BYTES = 64 * 1024 * 1024  # of the stream, some 400,000 ends; the oldest go first
BEAT_S = 5.0  # between two signs of life of a pod: how exactly the time of its death is known

EndedBy = Literal["edge", "client", "network"]


class SessionRecord(Message):
    """One session as its pod knows it. Times in Unix seconds; counts since it began."""

    session: str
    pod: str
    user: str
    transport: str
    opened_at: float
    closed_at: float | None = None
    """Absent while it lives."""
    ended_by: EndedBy | None = None
    """`client`: it said goodbye; `network`: the connection broke without a word."""
    code: int | None = None
    """The close code, where the edge ended it."""
    reason: str = ""
    """What the client was told, in a sentence."""
    channels: int = 0
    """Subscriptions now, or at the end."""
    received: int = 0
    """Frames from the client."""
    sent: int = 0
    """Frames to the client; publications are counted when they are written, whether or not they arrived."""
    recovered: int = 0
    """Channels in which everything missed was sent after."""
    reloads: int = 0
    """Channels that the client was told to reload: completeness could not be shown."""
    fell_behind: int = 0
    """Times that the client read too slowly and was caught up from history."""
    rate_limited: int = 0
    """Requests refused by a rate limit."""
    doing: tuple[str, ...] = ()
    """What it was in the middle of: `opening` (it was never told `connected`), `behind` (caught up from history)."""


class SessionBegun(NamedTuple):
    """A client was told that it is connected."""

    session: str
    user: str
    transport: str
    opened_at: float


class SessionBatch(Message):
    """What began and ended on one pod within about a second; a message of stream SESSIONS."""

    pod: str
    begun: tuple[SessionBegun, ...] = ()
    ended: tuple[SessionRecord, ...] = ()


class PodBeat(Message):
    """In PODS, by the pod's name: it lived at ``at`` (Unix s)."""

    pod: str
    at: float
    started_at: float
    sessions: int
    """That it holds."""
    stopped: bool = False
    """It ended as it should, every session closed."""


class SessionsQuestion(Message):
    """Asked of every edge: one of the two."""

    session: str | None = None
    user: str | None = None


class SessionsAnswer(Message):
    """What one pod knows by itself: sessions that live, and ends that are not written yet."""

    pod: str
    sessions: tuple[SessionRecord, ...]
