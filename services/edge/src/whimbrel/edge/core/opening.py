"""One channel on its way to one subscriber.

Opening has two steps. First it is found out what the subscriber missed: from the ring if that reaches back, otherwise
by reads of the stream, while publications go on. ``complete`` is the second: in the same turn of the loop in which the
subscriber is attached it adds what entered the ring meanwhile, so that nothing is missed and nothing comes twice.
"""

from collections.abc import Sequence

from whimbrel.edge.core.effects import Wanted
from whimbrel.edge.core.hub import LiveChannel
from whimbrel.edge.core.inbox import shown
from whimbrel.edge.core.recovery import Unrecoverable
from whimbrel.edge.core.ring import Stored
from whimbrel.edge.core.subscription import NotOpened, Opened
from whimbrel.protocol.codes import ErrorCode


class Opening:
    """One channel on its way to one subscriber."""

    __slots__ = (
        "_as_of",
        "_at",
        "_epoch",
        "_offset",
        "_prepared",
        "_publications",
        "_recovered",
        "live",
        "refused",
        "trace",
        "unrecoverable",
        "wanted",
    )

    def __init__(self, wanted: Wanted, live: LiveChannel, *, as_of: str = "") -> None:
        """``as_of`` is the time (RFC 3339) where the channel is an inbox: not all that it keeps is to be shown."""
        self._as_of = as_of
        self.wanted = wanted
        self.live = live
        self.refused: NotOpened | None = None
        self.unrecoverable: Unrecoverable | None = None  # why the subscriber, who gave a position, is to reload
        self.trace = ""  # id of the trace in which it was prepared, if that is sampled
        self._prepared = False
        self._epoch = ""
        self._offset = 0  # where the publications begin
        self._at = 0  # what was collected reaches up to here; the rest is in the ring
        self._publications: Sequence[Stored] = ()
        self._recovered: bool | None = None

    def begin(self, offset: int, recovered: bool | None, publications: Sequence[Stored] = ()) -> None:
        """Note what is known: ``publications`` follow ``offset``, and the ring follows them."""
        self._prepared = True
        self._epoch = self.live.epoch
        self._offset = offset
        self._recovered = recovered
        self._publications = publications
        self._at = publications[-1].offset if publications else offset

    def complete(self) -> Opened | NotOpened | None:
        """Return the channel as of this turn of the loop; None where more must be read first (``Openings.prepare``)."""
        if self.refused is not None:
            return self.refused
        live = self.live
        if live.gone:  # nothing would come any more
            return NotOpened(ErrorCode.UNAVAILABLE, "the channel was closed meanwhile; subscribe again")
        if not self._prepared:
            return None
        if not live.durable:
            return Opened("", 0)
        assert live.ring is not None
        if live.epoch != self._epoch:  # the history was lost while it was read
            if self._recovered is None:
                return Opened(live.epoch, live.ring.head)
            self.give_up(Unrecoverable("epoch"))
        if self.unrecoverable is not None:
            return Opened(live.epoch, live.ring.head, recovered=False)
        more = live.ring.since(self._at)
        if more is None:
            return None
        publications = _then(self._publications, more)
        if self._as_of and publications:
            publications = shown(publications, now=self._as_of)
        return Opened(live.epoch, self._offset, self._recovered, publications)

    @property
    def prepared(self) -> bool:
        """Whether it is known where the publications begin."""
        return self._prepared

    @property
    def at(self) -> int:
        """Up to which offset everything is collected."""
        return self._at

    @property
    def publications(self) -> Sequence[Stored]:
        """What was collected so far, oldest first."""
        return self._publications

    def extend(self, publications: Sequence[Stored]) -> None:
        """Add what was read after ``at``."""
        self._publications = _then(self._publications, publications)
        if publications:
            self._at = publications[-1].offset

    def give_up(self, why: Unrecoverable) -> None:
        """Completeness cannot be shown: the subscriber reloads."""
        self._prepared = True
        self._epoch = self.live.epoch
        self.unrecoverable = why


def _then(publications: Sequence[Stored], more: Sequence[Stored]) -> Sequence[Stored]:
    # One of them as it is wherever possible: others are given the same, and it is encoded once.
    if not publications:
        return more
    return (*publications, *more) if more else publications
