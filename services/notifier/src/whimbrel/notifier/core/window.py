"""The events in hand of one partition: what may be sent now, and which events are finished.

Rules, whatever the order in which streams acknowledge:

1. One publication per channel is under way at a time. Were there two, a stream that loses the first (its leader died)
   and takes the second would invert their order when the first is sent again.
2. Publications of one channel are sent in the order of their events.
3. An event is finished when all its publications are, and finished events leave in order, so that what the consumer has
   acknowledged is always a prefix of the partition.

Different channels wait for nobody: a slow stream delays the channels that it keeps, until the window is full. An event
may have more publications than there is room for: they are drawn as room comes, and the next event waits.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final, Generic, Protocol, TypeVar

MAX_PUBLICATIONS: Final = 1024  # in the window of one partition; some 500 KiB at 300 B each
MAX_UNDER_WAY: Final = 256  # sent and not acknowledged; enough to cover 10 ms at 25,000/s
# … and their bodies: what eight partitions have under way is below what a connection lets wait (8 MiB, fastclient.py)
MAX_UNDER_WAY_BYTES: Final = 512 * 1024


class Sendable(Protocol):
    """A publication, as far as the window must know it: ``key`` is its channel, ``sequence`` its event, ``size`` what
    its body had in bytes when it was added.
    """

    @property
    def key(self) -> str: ...

    @property
    def sequence(self) -> int: ...

    @property
    def size(self) -> int: ...


P = TypeVar("P", bound=Sendable)


class Window(Generic[P]):
    """Publications of one partition between their event's arrival and its acknowledgement."""

    def __init__(
        self,
        *,
        max_publications: int = MAX_PUBLICATIONS,
        max_under_way: int = MAX_UNDER_WAY,
        max_under_way_bytes: int = MAX_UNDER_WAY_BYTES,
    ) -> None:
        self._max_publications = max_publications
        self._max_under_way = max_under_way
        self._max_under_way_bytes = max_under_way_bytes
        self._left: dict[int, int] = {}  # event → publications not yet done, in order of arrival; one more while …
        self._sources: deque[tuple[int, Iterator[P]]] = deque()  # … others are to be drawn from here
        self._queues: dict[str, deque[P]] = {}  # channel → publications, the first one released
        self._released: deque[P] = deque()  # may be sent as soon as fewer are under way
        self._under_way = 0
        self._under_way_bytes = 0
        self.publications = 0

    def __len__(self) -> int:
        """Return how many events are in hand."""
        return len(self._left)

    @property
    def is_full(self) -> bool:
        """Whether the next event has to wait outside."""
        return self.publications >= self._max_publications or bool(self._sources)

    def add(self, sequence: int, publications: Iterable[P]) -> None:
        """Take the publications of event ``sequence``, which is above all before; none means that it is done."""
        self._left[sequence] = 1
        self._sources.append((sequence, iter(publications)))
        self._draw()

    def _draw(self) -> None:
        """Take in publications while there is room, those of the first event first."""
        while self._sources and self.publications < self._max_publications:
            sequence, source = self._sources[0]
            publication = next(source, None)
            if publication is None:
                self._left[sequence] -= 1
                self._sources.popleft()
                continue
            self._left[sequence] += 1
            self.publications += 1
            queue = self._queues.get(publication.key)
            if queue is None:
                self._queues[publication.key] = deque((publication,))
                self._released.append(publication)
            else:
                queue.append(publication)

    def sendable(self) -> list[P]:
        """Return what is to be sent now; it counts as under way from here on. One may always be, however large."""
        found: list[P] = []
        while self._released and self._under_way < self._max_under_way:
            size = self._released[0].size
            if self._under_way and self._under_way_bytes + size > self._max_under_way_bytes:
                break
            self._under_way += 1
            self._under_way_bytes += size
            found.append(self._released.popleft())
        return found

    def done(self, publication: P) -> None:
        """Note that ``publication``, which was under way, is stored (or given up): the channel's next may go."""
        self._under_way -= 1
        self._under_way_bytes -= publication.size
        self.publications -= 1
        self._left[publication.sequence] -= 1
        queue = self._queues[publication.key]
        queue.popleft()
        if queue:
            self._released.append(queue[0])
        else:
            del self._queues[publication.key]
        if self._sources:
            self._draw()

    def finished(self) -> list[int]:
        """Return the events that are finished, in order, and forget them."""
        found = []
        for sequence, left in self._left.items():
            if left:
                break
            found.append(sequence)
        for sequence in found:
            del self._left[sequence]
        return found
