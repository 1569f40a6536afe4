"""The rule of exactly once: every implementation stands where the vectors say."""

from collections.abc import Callable

import pytest

from tests.protocol.vectors import Vector, every
from whimbrel.client.core.reading import Need, Reading
from whimbrel.edge.core.ring import Ring, Stored, Verdict
from whimbrel.protocol.frames import Publication, Subscribed
from whimbrel.protocol.positions import Position

EPOCH = "e1"


class OfTheEdge:
    """The edge's ring keeps the rule towards the bus, in a channel whose history holds nothing yet.

    Where it holds something, the ring is stricter: what names an older one before it sends the pod to the stream.
    """

    def __init__(self, position: int) -> None:
        self._ring = Ring(position, quiet=True)

    def take(self, offset: int, prev: int) -> str:
        verdict = self._ring.accept(Stored(offset, prev, b"{}", b""))
        return {Verdict.NEXT: "apply", Verdict.DUPLICATE: "drop", Verdict.GAP: "gap"}[verdict]

    @property
    def position(self) -> int:
        return self._ring.head


class OfTheClient:
    """The client's reading keeps it towards the edge."""

    def __init__(self, position: int) -> None:
        self._reading = Reading("orders:42", position=Position(epoch=EPOCH, offset=position), capacity=100)
        self._open()

    def _open(self) -> None:
        at = self._reading.offset
        self._reading.asked(1)
        self._reading.opened(Subscribed(id=1, channel="orders:42", epoch=EPOCH, offset=at, recovered=True))

    def take(self, offset: int, prev: int) -> str:
        frame = Publication(channel="orders:42", event="e", event_id="1", time="t", data=None, offset=offset, prev=prev)
        delivered, need = self._reading.publication(frame)
        if need is Need.ASK:
            self._open()  # from where it stands: what is missing comes next
            return "gap"
        return "apply" if delivered else "drop"

    @property
    def position(self) -> int:
        return self._reading.offset


@pytest.mark.parametrize("implementation", [OfTheEdge, OfTheClient])
@every("rule.json")
def test_what_is_applied_dropped_and_missed(
    vector: Vector, implementation: Callable[[int], OfTheEdge | OfTheClient]
) -> None:
    subscriber = implementation(vector["at"])
    assert [subscriber.take(each["offset"], each["prev"]) for each in vector["publications"]] == vector["verdicts"]
    assert subscriber.position == vector["ends_at"]
