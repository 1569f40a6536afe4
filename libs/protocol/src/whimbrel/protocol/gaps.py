"""Gaps: a client was told ``recovered: false``, and why. The edges write them to stream GAPS, on call reads them."""

from collections.abc import Mapping
from typing import Final, Literal

from whimbrel.protocol.positions import Position
from whimbrel.protocol.rpc import Message

KEPT_S = 7 * 24 * 3600  # as long as a history: a report of last week can be looked up; GAPS_BYTES may shorten it
GAPS_BYTES = 64 * 1024 * 1024  # of the stream, some 200,000 entries; the oldest go first

Cause = Literal["epoch", "trimmed", "too_many", "too_large", "ahead", "stale"]

ADVICE: Final[Mapping[Cause, str]] = {
    "epoch": "The history was lost, restored from a backup or made anew since, or the position is of another "
    "installation: look at what was done to the streams. Many at once are to be expected after a restore.",
    "trimmed": "The history no longer reaches back that far: the client was away for longer than publications are "
    "kept, or more were published than are kept of a channel.",
    "too_many": "It missed more publications of the channel than one recovery returns. A channel that is so busy wants "
    "clients who reload, or fewer and larger publications.",
    "too_large": "What it missed of the channel has more bytes than one recovery returns.",
    "ahead": "The stream ends before the client's position, or before what its pod heard live: servers lost what they "
    "had acknowledged (a power failure without `sync_interval: always`), or the client made the position up.",
    "stale": "A publication was heard live, and the leader of its stream has it, but no replica that was asked could "
    "show it for seconds: look at the health of the NATS cluster.",
}


class Gap(Message):
    """One client and channel, or the ``clients`` of one cause and channel that were counted together."""

    at: float
    """Unix seconds; of several, the first."""
    pod: str
    cause: Cause
    during: Literal["return", "live", "behind"]
    """`return`: it came back with a position; `live`: the pod lost track of a channel to which it was subscribed;
    `behind`: it read too slowly and was being caught up.
    """
    channel: str = ""
    """As the server names it: an inbox is `user:<sub>`. Empty for several channels counted together."""
    user: str = ""
    session: str = ""
    """As in `whimbrel why`; a poll has none."""
    transport: str = ""
    asked: Position | None = None
    """Where the client was."""
    found: Position | None = None
    """Where it goes on: everything between is lost to it, and it reloads its state."""
    missed: int | None = None
    """How many publications are retained between the two, where that was counted."""
    trace: str = ""
    """Trace id, where the client's request was sampled."""
    clients: int = 1
    """Over 1: so many were counted together, for the ledger tells a storm by few. ``user``, ``session``, ``asked``,
    ``found``, ``missed`` and ``trace`` are not told then.
    """


class GapBatch(Message):
    """Gaps of one pod; a message of stream GAPS."""

    gaps: tuple[Gap, ...]
