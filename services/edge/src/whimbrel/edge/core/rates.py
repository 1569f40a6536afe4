"""How often something may be done: so much per second on average, a burst at once.

What a party has used is one number: the time at which it is all paid for. ``Ledger`` keeps it for many parties.
"""

from collections import OrderedDict
from itertools import islice
from typing import Final

LEDGER_PARTIES: Final = 50_000  # 174 bytes each, 9 MB in a flood; else only who was active in the last seconds
SWEEP_S: Final = 0.1
SWEPT_AT_ONCE: Final = 1024  # 0.1 ms; 10,000 a second are forgotten as fast as they may come

_BREADTH_S: Final = 1e-9  # what adding floats may lose


def pay(paid: float, seconds: float, *, now: float) -> float:
    """Return when a party has paid for ``seconds`` more of its rate; ``paid`` is when it had for all before."""
    return (paid if paid > now else now) + seconds


class TokenBucket:
    """Lets ``rate`` actions per second through on average, ``burst`` at once. Starts full."""

    __slots__ = ("_at", "_level", "burst", "rate")

    def __init__(self, rate: float, burst: float) -> None:
        self.rate = rate
        self.burst = burst
        self._level = burst
        self._at: float | None = None

    def take(self, *, now: float) -> float:
        """Take one; return 0.0, or the seconds until there will be one (nothing is taken then)."""
        if self._at is not None:
            self._level = min(self.burst, self._level + (now - self._at) * self.rate)
        self._at = now
        if self._level >= 1.0:
            self._level -= 1.0
            return 0.0
        return (1.0 - self._level) / self.rate


class Ledger:
    """One rate for each of many parties, such as users or addresses: ``rate`` per second, ``burst`` at once.

    Holds at most ``parties`` of them. Who has paid for everything is forgotten, and beyond that whoever took longest
    ago: a flood of fresh names costs memory up to the bound, never beyond, and forgives others at worst.
    """

    __slots__ = ("_burst_s", "_cost_s", "_paid", "_parties", "_sweep_at", "burst", "rate")

    def __init__(self, rate: float, burst: float, parties: int = LEDGER_PARTIES) -> None:
        self.rate = rate
        self.burst = burst
        self._cost_s = 1.0 / rate
        self._burst_s = burst / rate + _BREADTH_S
        self._parties = parties
        self._paid: OrderedDict[str, float] = OrderedDict()  # by who took last
        self._sweep_at = 0.0

    def __len__(self) -> int:
        return len(self._paid)

    def take(self, party: str, *, now: float) -> float:
        """Have ``party`` take one; return 0.0, or the seconds until there will be one (nothing is taken then)."""
        ledger = self._paid
        paid = ledger.get(party, now)
        paid = (paid if paid > now else now) + self._cost_s
        if paid - now > self._burst_s:
            return paid - now - self._burst_s
        ledger[party] = paid
        ledger.move_to_end(party)
        if now >= self._sweep_at or len(ledger) > self._parties:
            self._forget(now)
        return 0.0

    def _forget(self, now: float) -> None:
        self._sweep_at = now + SWEEP_S
        if len(self._paid) > self._parties:
            self._paid.popitem(last=False)
        for party in list(islice(self._paid, SWEPT_AT_ONCE)):
            if self._paid[party] > now:
                break
            del self._paid[party]
