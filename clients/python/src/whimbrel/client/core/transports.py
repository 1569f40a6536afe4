"""Which transport to use next, as pure functions over what was tried.

A transport that *never opened* is left for the next one after two tries, or at once after one that had no answer at
all. One that has opened before is trusted longer: an edge that restarts must not push its clients onto polling.
Where nothing opens the turn goes round: the edge is down, and whichever opens first is taken.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from whimbrel.client.events import Transport
from whimbrel.protocol.limits import OPEN_TRIES

Preference = Literal["auto", "websocket", "sse", "poll"]

BEST_FIRST: Final[tuple[Transport, ...]] = ("websocket", "sse", "poll")
PROVEN_TRIES: Final = 5  # about 8 s of backoff: a restart of the edge takes less


@dataclass(frozen=True, slots=True)
class Outlook:
    """``order`` is what may be used, best first; ``tries`` counts openings of ``current`` in a row that failed.

    ``proven`` have opened before; ``failing`` were left because they did not open when last tried.
    """

    order: tuple[Transport, ...]
    current: Transport
    tries: int = 0
    proven: frozenset[Transport] = frozenset()
    failing: frozenset[Transport] = frozenset()

    @property
    def is_best(self) -> bool:
        """Whether there is nothing better to probe for."""
        return self.current == self.order[0]

    @property
    def best(self) -> Transport:
        """The transport to move to once it works."""
        return self.order[0]


def first_outlook(preference: Preference) -> Outlook:
    """Return where a new client begins."""
    order = BEST_FIRST if preference == "auto" else (preference,)
    return Outlook(order, order[0])


def opened(outlook: Outlook, transport: Transport) -> Outlook:
    """Return the outlook once ``transport`` works."""
    news: frozenset[Transport] = frozenset({transport})
    return replace(outlook, current=transport, tries=0, proven=outlook.proven | news, failing=outlook.failing - news)


def never_opened(outlook: Outlook, *, unanswered: bool) -> Outlook:
    """Return the outlook after ``current`` failed to open; ``unanswered``: nothing came back in time."""
    tries = outlook.tries + 1
    proven = outlook.current in outlook.proven
    enough = PROVEN_TRIES if proven else 1 if unanswered else OPEN_TRIES
    if tries < enough:
        return replace(outlook, tries=tries)
    failing = outlook.failing | {outlook.current}
    return replace(outlook, current=_after(outlook, outlook.current), tries=0, failing=failing)


def without(outlook: Outlook, transport: Transport) -> Outlook | None:
    """Return the outlook once the edge has switched ``transport`` off; None where no other is left."""
    order = tuple(each for each in outlook.order if each != transport)
    return replace(outlook, order=order, current=order[0], tries=0) if order else None


def advised(outlook: Outlook, transports: Sequence[str], preference: Preference) -> Outlook:
    """Return the outlook under the edge's policy: its order, as far as this client and the application allow.

    Advice that would leave nothing is not followed: the edge enforces a ban by close code 4506.
    """
    allowed = first_outlook(preference).order
    order = tuple(each for each in allowed if each in transports)
    order = tuple(sorted(order, key=list(transports).index))
    # What the edge wants again may have failed by its own will, as in a brownout.
    failing = outlook.failing & frozenset(outlook.order)
    return replace(outlook, order=order, failing=failing) if order else outlook


def _after(outlook: Outlook, transport: Transport) -> Transport:
    if transport not in outlook.order:
        return outlook.order[0]
    return outlook.order[(outlook.order.index(transport) + 1) % len(outlook.order)]
