"""Who may come in now: asked before anything else is spent on a connect.

A connect is a request that opens a stream, or one whose token this pod has not seen yet and has to ask auth about.
"""

import random
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final

from whimbrel.edge.core.addresses import address_of, is_local
from whimbrel.edge.core.effects import Rejected
from whimbrel.edge.core.rates import Ledger
from whimbrel.edge.core.turnstile import Turnstile
from whimbrel.edge.settings import Settings
from whimbrel.edge.shell.httpwire import Refusal
from whimbrel.edge.shell.users import Device, Users
from whimbrel.protocol.codes import CloseCode, ErrorCode

BURST_S: Final = 2.0  # of the pod's rate: what a pod that restarts beside this one sends over
ADDRESS_BURST_S: Final = 10.0  # of an address's: an office behind one address comes back together
ADDRESS_SPREAD_S: Final = 2.0  # beyond the wait until the next one
CROWDED_S: Final = 10  # for connections that died unheard to be found out


class Admission:
    """Counts connects of the pod and of each address, and connections of each user."""

    def __init__(self, settings: Settings, users: Users) -> None:
        self.forwarded_header: Final = settings.forwarded_header  # in which proxies say whom a request came from
        self._trusted_proxies = settings.trusted_proxies
        self._connections_per_user = settings.connections_per_user
        self._users = users
        self._turnstile = Turnstile(settings.connects_per_s, BURST_S * settings.connects_per_s)
        rate = settings.address_connects_per_s
        self._addresses = Ledger(rate, ADDRESS_BURST_S * rate)

    def connect(self, peername: Any, forwarded: Sequence[str], *, now: float) -> None:
        """Count a connect; ``forwarded`` are the values of ``forwarded_header``. Raises Refusal (429, 503)."""
        peer = str(peername[0]) if peername else ""
        address = address_of(peer, forwarded, trusted=self._trusted_proxies)
        # From this machine itself come its developer, its tests, or a proxy that was not told of: no party of its own.
        if not is_local(address) and (wait := self._addresses.take(address, now=now)):
            why = f"at most {self._addresses.rate:g} connects per second from one address"
            raise Refusal(
                HTTPStatus.TOO_MANY_REQUESTS,
                CloseCode.RATE_LIMITED,
                why,
                retry_ms=int(1000 * wait) + spread_ms(ADDRESS_SPREAD_S),
            )
        if wait := self._turnstile.enter(now=now, jitter=random.random()):
            why = f"the pod takes {self._turnstile.rate:g} connects per second"
            raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, CloseCode.OVERLOADED, why, retry_ms=int(1000 * wait))

    def crowd(self, user: str, device: Device | None = None) -> Rejected | None:
        """Return why ``user`` may have no more connections; None where that is fine, or ``device`` is one already."""
        most = self._connections_per_user
        if not self._users.crowded(user, device, most):  # as nearly always
            return None
        why = f"a user has at most {most} connections to one pod, waiting polls included"
        return Rejected(CloseCode.TOO_MANY_CONNECTIONS, ErrorCode.LIMIT_EXCEEDED, why, spread_ms(CROWDED_S))


def spread_ms(seconds: float) -> int:
    """Return half to one and a half ``seconds`` in milliseconds: who is told together must not come together."""
    return int(1000 * seconds * (0.5 + random.random()))
