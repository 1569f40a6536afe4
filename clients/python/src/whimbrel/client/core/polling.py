"""How a polling client asks: at once when that may bring something, and with rests where the edge does not hold it."""

from dataclasses import dataclass

from whimbrel.client.core.timing import Timing
from whimbrel.protocol.bodies import PollReply
from whimbrel.protocol.positions import Position


@dataclass(frozen=True, slots=True)
class Poll:
    """What to ask next: channels with positions, how long the edge may wait, and seconds to rest before.

    ``at`` is when it was decided (loop seconds).
    """

    channels: dict[str, Position | None]
    wait_s: float
    rest_s: float
    at: float


class Pace:
    """An edge that answers early with nothing, again and again, is not asked again and again."""

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._fruitless = 0  # polls in a row that were answered early, with nothing

    def next(self, channels: dict[str, Position | None], *, up: bool, now: float) -> Poll:
        """Return the next poll; the first one of a link (not ``up``) is to be answered at once: it is the test."""
        if not up:
            return Poll(channels, wait_s=0, rest_s=0, at=now)
        rest_s = min(self._timing.backoff_cap_s, self._timing.poll_rest_s * 2.0 ** min(self._fruitless - 2, 30))
        return Poll(channels, self._timing.poll_wait_s, rest_s if self._fruitless > 1 else 0.0, now)

    def answered(self, asked: Poll, reply: PollReply, now: float) -> None:
        """Note what a poll has brought."""
        fruitful = any(fields.get("type") == "publication" for fields in reply.frames)
        early = asked.wait_s > 0 and now - asked.at - asked.rest_s < min(1.0, asked.wait_s)
        self._fruitless = self._fruitless + 1 if early and not fruitful else 0
