"""What may be sent when, so that no channel's order is ever inverted."""

from collections import defaultdict
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from whimbrel.notifier.core.window import MAX_PUBLICATIONS, Window


class Pub(NamedTuple):
    key: str
    sequence: int
    size: int = 100


def test_publications_of_different_channels_go_at_once() -> None:
    window: Window[Pub] = Window()
    window.add(1, [Pub("a", 1), Pub("b", 1)])
    window.add(2, [Pub("c", 2)])
    assert window.sendable() == [Pub("a", 1), Pub("b", 1), Pub("c", 2)]
    assert window.sendable() == []


def test_the_next_one_of_a_channel_waits_for_the_one_before() -> None:
    window: Window[Pub] = Window()
    window.add(1, [Pub("a", 1)])
    window.add(2, [Pub("a", 2)])
    (first,) = window.sendable()
    assert window.sendable() == []
    window.done(first)
    assert window.sendable() == [Pub("a", 2)]


def test_events_finish_in_order_and_only_when_all_their_publications_are_stored() -> None:
    window: Window[Pub] = Window()
    window.add(1, [Pub("a", 1), Pub("b", 1)])
    window.add(2, [Pub("c", 2)])
    a, b, c = window.sendable()
    window.done(c)
    window.done(a)
    assert window.finished() == []
    window.done(b)
    assert window.finished() == [1, 2]
    assert len(window) == 0


def test_an_event_without_publications_finishes_in_its_turn() -> None:
    window: Window[Pub] = Window()
    window.add(1, [Pub("a", 1)])
    window.add(2, [])
    assert window.finished() == []
    window.done(window.sendable()[0])
    assert window.finished() == [1, 2]


def test_no_more_than_the_bound_is_under_way() -> None:
    window: Window[Pub] = Window(max_under_way=2)
    window.add(1, [Pub(key, 1) for key in "abc"])
    first, _ = window.sendable()
    assert window.sendable() == []
    window.done(first)
    assert window.sendable() == [Pub("c", 1)]


def test_no_more_bytes_than_the_bound_are_under_way_but_one_publication_always_is() -> None:
    window: Window[Pub] = Window(max_under_way_bytes=250)
    window.add(1, [Pub("a", 1), Pub("b", 1), Pub("c", 1), Pub("large", 1, size=1000)])
    a, b = window.sendable()
    window.done(a)
    (c,) = window.sendable()
    window.done(b)
    assert window.sendable() == []
    window.done(c)
    (large,) = window.sendable()
    window.done(large)
    assert window.finished() == [1]


def test_a_window_is_full_by_publications_not_by_events() -> None:
    window: Window[Pub] = Window()
    window.add(1, [Pub(f"u{n}", 1) for n in range(MAX_PUBLICATIONS)])
    assert window.is_full
    window.done(window.sendable()[0])
    assert not window.is_full


def test_a_large_event_is_taken_in_as_there_is_room_and_the_next_one_waits() -> None:
    window: Window[Pub] = Window(max_publications=2)
    composed: list[str] = []

    def compose(key: str) -> Pub:
        composed.append(key)
        return Pub(key, 1)

    window.add(1, map(compose, "abc"))
    assert composed == ["a", "b"]
    a, b = window.sendable()
    window.done(a)
    assert window.is_full
    (c,) = window.sendable()
    window.done(b)
    assert window.finished() == []
    window.done(c)
    assert window.finished() == [1]
    assert not window.is_full


@given(
    max_publications=st.integers(1, 6),
    events=st.lists(st.lists(st.sampled_from("abcd"), max_size=4, unique=True), max_size=12),
    max_under_way=st.integers(1, 5),
    data=st.data(),
)
def test_whatever_is_acknowledged_first_channels_and_events_keep_their_order(
    events: list[list[str]], max_publications: int, max_under_way: int, data: st.DataObject
) -> None:
    window: Window[Pub] = Window(max_publications=max_publications, max_under_way=max_under_way)
    arriving = [(number, [Pub(key, number) for key in keys]) for number, keys in enumerate(events, 1)]
    under_way: list[Pub] = []
    stored: dict[str, list[int]] = defaultdict(list)
    finished: list[int] = []
    while len(finished) < len(events):
        if len(arriving) > 0 and data.draw(st.booleans(), label="arrives"):
            window.add(*arriving.pop(0))
        under_way += window.sendable()
        assert len(under_way) <= max_under_way
        assert window.publications <= max_publications
        assert len({one.key for one in under_way}) == len(under_way)
        if under_way:
            one = under_way.pop(data.draw(st.integers(0, len(under_way) - 1), label="stored"))
            stored[one.key].append(one.sequence)
            window.done(one)
        elif arriving:
            window.add(*arriving.pop(0))
        finished += window.finished()
    assert finished == list(range(1, len(events) + 1))
    assert stored == {
        key: numbers for key in "abcd" if (numbers := [number for number, keys in enumerate(events, 1) if key in keys])
    }
    assert (len(window), window.publications) == (0, 0)
