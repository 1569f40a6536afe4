"""What each user may ask of this pod, over all sessions, polls and commands together."""

from typing import Final

from whimbrel.edge.core.rates import Ledger
from whimbrel.protocol.codes import ErrorCode
from whimbrel.protocol.errors import Refused

BURST_S: Final = 5.0  # seconds of a rate that may be used at once: a page that comes back asks for everything it shows
PUBLISH_BURST_S: Final = 2.0  # a publish costs every subscriber of the channel, not only us


class Quotas:
    """One for all sessions of a pod. Rates are per second and user."""

    __slots__ = ("publishes", "requests")

    def __init__(self, *, requests_per_s: float, publish_per_s: float) -> None:
        self.requests = Ledger(requests_per_s, BURST_S * requests_per_s)
        self.publishes = Ledger(publish_per_s, PUBLISH_BURST_S * publish_per_s)

    def request(self, user: str, *, now: float) -> None:
        """Count a request of ``user``. Raises Refused (109)."""
        if wait := self.requests.take(user, now=now):
            raise _too_many(f"at most {self.requests.rate:g} requests per second and user", wait)

    def publish(self, user: str, *, now: float) -> None:
        """Count a publish of ``user``, beside the request that it is. Raises Refused (109)."""
        if wait := self.publishes.take(user, now=now):
            raise _too_many(f"at most {self.publishes.rate:g} publishes per second and user", wait)


def _too_many(why: str, wait: float) -> Refused:
    return Refused(ErrorCode.RATE_LIMITED, why, retry_ms=int(wait * 1000) + 1)
