"""How a polling client asks: at once where the edge holds the poll until there is something, and with rests where it
does not, or wants none to be held.
"""

from collections.abc import Callable, Set
from dataclasses import dataclass
from typing import Final

from whimbrel.client.core.timing import Timing
from whimbrel.protocol.bodies import PollReply
from whimbrel.protocol.frames import Policy
from whimbrel.protocol.positions import Position

INTERVAL_SPREAD: Final = 0.2  # of the interval, to both sides
ADVICE_POLLS: Final = 4  # intervals between two looks at the policy: the end of a brownout is heard of in a minute


@dataclass(frozen=True, slots=True)
class Poll:
    """What to ask next: channels with positions, how long the edge may wait, and seconds to rest before.

    ``at`` is when it was decided (loop seconds).
    """

    channels: dict[str, Position | None]
    wait_s: float
    rest_s: float
    at: float


def without(channels: Set[str], reply: PollReply) -> PollReply:
    """Return what ``reply`` says of all other channels."""
    if not channels:
        return reply
    frames = tuple(fields for fields in reply.frames if fields.get("channel") not in channels)
    positions = {channel: position for channel, position in reply.channels.items() if channel not in channels}
    return PollReply(frames=frames, channels=positions)


class Pace:
    """An edge that answers early with nothing, again and again, is not asked again and again; one that wants to be
    polled, as in a brownout, is asked as often as it says. ``jitter`` yields random numbers in [0, 1).
    """

    def __init__(self, timing: Timing, jitter: Callable[[], float]) -> None:
        self._timing = timing
        self._jitter = jitter
        self._interval_s = 0.0  # what the edge asks for; 0: it holds polls
        self._fruitless = 0  # polls in a row that were answered early, with nothing

    def advised(self, policy: Policy) -> None:
        """Follow the edge's policy: the interval is for those whom it wants to poll."""
        self._interval_s = policy.poll.interval if policy.transports[:1] == ("poll",) else 0.0

    def advice_s(self) -> float:
        """Return how long to wait before the policy is asked for again: who polls is not told by itself."""
        usual_s = self._timing.advice_s
        seconds = min(usual_s, ADVICE_POLLS * self._interval_s) if self._interval_s > 0 else usual_s
        return seconds * (0.5 + self._jitter())

    def next(self, channels: dict[str, Position | None], *, up: bool, now: float) -> Poll:
        """Return the next poll; the first one of a link (not ``up``) is to be answered at once: it is the test."""
        if not up:
            return Poll(channels, wait_s=0, rest_s=0, at=now)
        if self._interval_s > 0:
            spread = INTERVAL_SPREAD * (2 * self._jitter() - 1)  # who was told together must not ask together
            return Poll(channels, wait_s=0, rest_s=self._interval_s * (1 + spread), at=now)
        rest_s = min(self._timing.backoff_cap_s, self._timing.poll_rest_s * 2.0 ** min(self._fruitless - 2, 30))
        return Poll(channels, self._timing.poll_wait_s, rest_s if self._fruitless > 1 else 0.0, now)

    def answered(self, asked: Poll, reply: PollReply, now: float) -> None:
        """Note what a poll has brought."""
        fruitful = any(fields.get("type") == "publication" for fields in reply.frames)
        early = asked.wait_s > 0 and now - asked.at - asked.rest_s < min(1.0, asked.wait_s)
        self._fruitless = self._fruitless + 1 if early and not fruitful else 0
