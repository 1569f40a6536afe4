"""One timer wheel for all deadlines of a pod: no timer handle per connection."""

import math
from typing import Generic, TypeVar

T = TypeVar("T")


class TimerWheel(Generic[T]):
    """Items by the time (seconds) at which each wants a look; each item is in at most one slot of ``tick`` seconds.

    An item may come up to one tick late, never early. The wheel does not forget items: who is gone is discarded by
    ``discard``.
    """

    __slots__ = ("_slot_of", "_slots", "_swept", "tick")

    def __init__(self, *, now: float, tick: float = 1.0) -> None:
        self.tick = tick
        self._slots: dict[int, set[T]] = {}
        self._slot_of: dict[T, int] = {}
        self._swept = math.floor(now / tick)

    def __len__(self) -> int:
        return len(self._slot_of)

    def schedule(self, item: T, at: float) -> None:
        """Have ``item`` come up at ``at``, instead of whenever it was due before."""
        slot = max(math.ceil(at / self.tick), self._swept + 1)
        before = self._slot_of.get(item)
        if before == slot:
            return
        if before is not None:
            self._slots[before].discard(item)
        self._slot_of[item] = slot
        self._slots.setdefault(slot, set()).add(item)

    def bring_forward(self, item: T, at: float) -> None:
        """Have ``item`` come up at ``at``, or earlier where it is due already: for who keeps putting off a deadline."""
        slot = self._slot_of.get(item)
        if slot is None or at <= (slot - 1) * self.tick:
            self.schedule(item, at)

    def discard(self, item: T) -> None:
        """Forget ``item``; nothing happens if it is not there."""
        slot = self._slot_of.pop(item, None)
        if slot is not None:
            self._slots[slot].discard(item)

    def due(self, *, now: float) -> list[T]:
        """Take out and return the items whose time has come."""
        until = math.floor(now / self.tick)
        came: list[T] = []
        while self._swept < until:
            self._swept += 1
            for item in self._slots.pop(self._swept, ()):
                del self._slot_of[item]
                came.append(item)
        return came
