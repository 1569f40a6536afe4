"""The garbage collector is kept to the young, and what cycles cost is bounded."""

import gc
import sys
import weakref
from collections.abc import Iterator

import pytest

from whimbrel.runtime.collector import YOUNG, Collector


class Node:
    """Part of a cycle of two."""

    def __init__(self) -> None:
        self.other: Node | None = None


def a_cycle() -> "weakref.ref[Node]":
    """Return a look at a cycle that nobody holds."""
    one, two = Node(), Node()
    one.other, two.other = two, one
    return weakref.ref(one)


@pytest.fixture
def collector() -> Iterator[Collector]:
    gc.disable()  # the test says when
    collector = Collector()
    collector.start()
    yield collector
    collector.stop()
    gc.unfreeze()
    gc.enable()


def test_a_cycle_that_dies_young_is_freed(collector: Collector) -> None:
    seen = a_cycle()
    gc.collect(YOUNG)
    assert seen() is None


def test_what_has_grown_old_is_not_walked_over_again(collector: Collector) -> None:
    holding = [Node() for _ in range(1000)]
    gc.collect(YOUNG)
    assert len(gc.get_objects()) < len(holding)
    holding.clear()
    seen = a_cycle()
    gc.collect(YOUNG)
    assert seen() is None, "the young are still collected"


def test_what_has_grown_old_is_freed_when_nobody_holds_it(collector: Collector) -> None:
    node = Node()
    seen = weakref.ref(node)
    gc.collect(YOUNG)
    del node
    assert seen() is None


def test_a_cycle_that_dies_old_is_freed_once_there_is_twice_as_much(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = Node(), Node()
    one.other, two.other = two, one
    seen = weakref.ref(one)
    gc.collect(YOUNG)
    del one, two
    collector.look()
    assert seen() is not None, "there is not twice as much"
    assert collector.full == 1
    gc.collect(YOUNG)
    monkeypatch.setattr(sys, "getallocatedblocks", lambda: 10**9)
    collector.look()
    assert seen() is None
    assert collector.full == 2
    gc.collect(YOUNG)
    collector.look()
    assert collector.full == 2, "there must be twice as much again"


def test_without_anything_new_nobody_counts(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    gc.collect(YOUNG)
    collector.look()
    monkeypatch.setattr(sys, "getallocatedblocks", lambda: 1 / 0)
    collector.look()
