"""A storm of connects leaves room between its parts, and keeps its order."""

import asyncio
from collections.abc import Callable
from typing import cast

from whimbrel.edge.shell.entrance import SLICE_S, Entrance


class Turns:
    """A loop that makes one turn when asked; a welcome takes a third of a slice."""

    def __init__(self) -> None:
        self.now = 0.0
        self.welcomed: list[int] = []
        self._next: list[Callable[[], None]] = []
        self.entrance = Entrance(cast("asyncio.AbstractEventLoop", self), clock=lambda: self.now)

    def call_soon(self, callback: Callable[[], None]) -> None:
        self._next.append(callback)

    def arrive(self, *clients: int, brings: int | None = None) -> None:
        for client in clients:
            self.entrance.enter(lambda client=client: self._welcome(client, brings))  # type: ignore[misc]

    def _welcome(self, client: int, brings: int | None) -> None:
        self.now += SLICE_S / 3
        self.welcomed.append(client)
        if brings is not None:
            self.arrive(brings)

    def turn(self) -> list[int]:
        """Return who was welcomed in the next turn."""
        due, self._next, self.welcomed = self._next, [], []
        assert len(due) <= 1
        for callback in due:
            callback()
        return self.welcomed


def test_who_comes_alone_is_welcomed_in_the_same_turn() -> None:
    turns = Turns()
    turns.arrive(1)
    assert [turns.turn(), turns.turn()] == [[1], []]
    turns.arrive(2)
    assert turns.turn() == [2]


def test_a_storm_is_welcomed_in_parts_and_in_order() -> None:
    turns = Turns()
    turns.arrive(1, 2, 3, 4, 5)
    first = turns.turn()
    turns.arrive(6, 7)
    assert [first, turns.turn(), turns.turn(), turns.turn()] == [[1, 2, 3], [4, 5, 6], [7], []]


def test_who_comes_during_a_welcome_comes_after_it() -> None:
    turns = Turns()
    turns.arrive(1, brings=2)
    assert [turns.turn(), turns.turn()] == [[1, 2], []]
