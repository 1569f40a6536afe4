"""One timer wheel for all deadlines of a pod: no timer handle per connection."""

import math
from typing import Any, Generic, Protocol, TypeVar


class Slot(dict[Any, None]):
    """The items that come up at one tick, in the order in which they were scheduled."""

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number


class Item(Protocol):
    """Whatever wants a look at some time. ``slot`` is the wheel's, None outside: 50 bytes per item where a mapping from
    items to slots took 200.
    """

    slot: Slot | None


T = TypeVar("T", bound=Item)


class TimerWheel(Generic[T]):
    """Items by the time (seconds) at which each wants a look; each item is in at most one slot of ``tick`` seconds.

    An item may come up to one tick late, never early. The wheel does not forget items: who is gone is discarded by
    ``discard``.
    """

    __slots__ = ("_slots", "_swept", "tick")

    def __init__(self, *, now: float, tick: float = 1.0) -> None:
        self.tick = tick
        self._slots: dict[int, Slot] = {}
        self._swept = math.floor(now / tick)

    def __len__(self) -> int:
        return sum(map(len, self._slots.values()))

    def schedule(self, item: T, at: float) -> None:
        """Have ``item`` come up at ``at``, instead of whenever it was due before."""
        number = math.ceil(at / self.tick)
        if number <= self._swept:
            number = self._swept + 1
        slot = self._slots.get(number)
        if slot is None:
            slot = self._slots[number] = Slot(number)
        before = item.slot
        if before is not slot:
            if before is not None:
                del before[item]
            slot[item] = None
            item.slot = slot

    def bring_forward(self, item: T, at: float) -> None:
        """Have ``item`` come up at ``at``, or earlier where it is due already: for who keeps putting off a deadline."""
        slot = item.slot
        if slot is None or at <= (slot.number - 1) * self.tick:
            self.schedule(item, at)

    def discard(self, item: T) -> None:
        """Forget ``item``; nothing happens if it is not there."""
        slot = item.slot
        if slot is not None:
            del slot[item]
            item.slot = None

    def until_turn(self, *, now: float) -> float:
        """Return the seconds until ``due`` may bring somebody."""
        return (math.floor(now / self.tick) + 1) * self.tick - now

    def due(self, *, now: float) -> list[T]:
        """Take out and return the items whose time has come."""
        until = math.floor(now / self.tick)
        came: list[T] = []
        while self._swept < until:
            self._swept += 1
            for item in self._slots.pop(self._swept, ()):
                item.slot = None
                came.append(item)
        return came
