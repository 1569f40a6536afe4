"""The newest publications of one channel, and the rule of the contract towards the bus."""

import json
from collections.abc import Sequence

import pytest

from tests.edge.people import a_publication, a_run
from whimbrel.edge.core.ring import REMEMBERED_RUNS, RING_BYTES, Ring, Run, Stored, Verdict
from whimbrel.protocol.limits import RING_PUBLICATIONS


def a_ring(*offsets: int, head: int = 0, quiet: bool = False) -> Ring:
    ring = Ring(head, quiet=quiet)
    prev = head
    for offset in offsets:
        assert ring.accept(a_publication(offset, prev)) is Verdict.NEXT
        prev = offset
    return ring


def offsets(publications: Sequence[Stored] | None) -> list[int] | None:
    return None if publications is None else [each.offset for each in publications]


def test_what_follows_the_head_is_next_even_with_a_hole_in_the_numbers() -> None:
    ring = a_ring(head=10)
    assert ring.accept(a_publication(17, 10)) is Verdict.NEXT
    assert ring.head == 17


def test_the_first_of_a_channel_in_which_nothing_is_retained_is_next() -> None:
    assert a_ring(head=10, quiet=True).accept(a_publication(17, 0)) is Verdict.NEXT


@pytest.mark.parametrize("ring", [a_ring(head=10), a_ring(10, head=5, quiet=True)])
def test_where_the_publication_at_the_head_is_retained_no_more_others_may_have_gone_with_it(ring: Ring) -> None:
    assert ring.accept(a_publication(17, 0)) is Verdict.GAP
    assert ring.head == 10


@pytest.mark.parametrize("offset", [1, 9, 10])
def test_what_is_not_newer_than_the_head_is_a_duplicate_and_changes_nothing(offset: int) -> None:
    ring = a_ring(head=10)
    assert ring.accept(a_publication(offset, 0)) is Verdict.DUPLICATE
    assert (ring.head, ring.since(10)) == (10, ())


def test_what_names_a_predecessor_that_we_do_not_have_is_a_gap_and_changes_nothing() -> None:
    ring = a_ring(12, head=10)
    assert ring.accept(a_publication(20, 15)) is Verdict.GAP
    assert offsets(ring.since(10)) == [12]
    assert ring.head == 12


def test_a_read_of_the_stream_brings_only_what_is_new() -> None:
    ring = a_ring(5, 7)
    assert offsets(ring.extend(a_run(5, 7, 9, 11))) == [9, 11]
    assert ring.head == 11


@pytest.mark.parametrize(
    ("position", "expected"), [(10, [12, 15, 20]), (12, [15, 20]), (13, [15, 20]), (20, []), (99, []), (9, None)]
)
def test_everything_after_a_position_or_none_where_the_ring_does_not_reach(
    position: int, expected: list[int] | None
) -> None:
    assert offsets(a_ring(12, 15, 20, head=10).since(position)) == expected


def test_a_quiet_ring_knows_that_nothing_else_is_retained() -> None:
    ring = a_ring(12, head=10, quiet=True)
    assert offsets(ring.since(0)) == [12]
    assert ring.reach == 0


def test_at_most_128_publications_stay_and_the_floor_rises_with_the_oldest() -> None:
    ring = a_ring(*range(1, RING_PUBLICATIONS + 3), quiet=True)
    assert ring.floor == 2
    assert not ring.quiet
    assert ring.since(1) is None
    assert offsets(ring.since(2)) == list(range(3, RING_PUBLICATIONS + 3))


def test_at_most_256_kib_of_bodies_stay_but_always_the_newest() -> None:
    ring = Ring(0)
    third = RING_BYTES // 3
    for offset in range(1, 6):
        ring.accept(Stored(offset, offset - 1, b"x" * third))
    assert offsets(ring.since(ring.floor)) == [3, 4, 5]
    ring.accept(Stored(6, 5, b"x" * (2 * RING_BYTES)))
    assert offsets(ring.since(ring.floor)) == [6]
    ring.accept(Stored(7, 6, b"x"))
    assert offsets(ring.since(ring.floor)) == [7]


@pytest.mark.parametrize(("count", "expected"), [(0, []), (1, [20]), (3, [12, 15, 20]), (4, None)])
def test_the_newest_are_given_where_the_ring_holds_as_many(count: int, expected: list[int] | None) -> None:
    assert offsets(a_ring(12, 15, 20, head=10).newest(count)) == expected


def test_a_quiet_ring_gives_what_there_is() -> None:
    assert offsets(a_ring(12, 15, quiet=True).newest(200)) == [12, 15]
    assert a_ring(quiet=True).newest(200) == []


# What several are given


def test_who_asks_from_the_same_offset_is_given_the_same_run_until_something_is_published() -> None:
    ring = a_ring(1, 2, 3)
    run = ring.since(1)
    assert ring.since(1) is run
    ring.accept(a_publication(4, 3))
    assert ring.since(1) is not run
    assert offsets(ring.since(1)) == [2, 3, 4]


def test_a_ring_remembers_few_runs() -> None:
    ring = a_ring(*range(1, 10))
    first = ring.since(0)
    for offset in range(1, REMEMBERED_RUNS):
        ring.since(offset)
    assert ring.since(0) is first
    ring.since(REMEMBERED_RUNS)
    assert ring.since(0) is not first


def test_a_run_is_encoded_anew_for_the_first_two_and_then_no_more() -> None:
    run = Run(a_run(1, 2))
    first, second, third = run.nested(), run.nested(), run.nested()
    assert first == second
    assert first is not second, "a user alone costs no memory"
    assert third is second
    assert [each["offset"] for each in json.loads(b"[%b]" % first)] == [1, 2]


def test_frames_of_a_run_name_their_channel_and_are_kept_in_the_same_way() -> None:
    run = Run(a_run(1, 2))
    first, second = run.frames(b"orders:42"), run.frames(b"orders:42")
    assert run.frames(b"orders:42") is second
    frames = json.loads(b"[%b]" % first)
    assert [(frame["type"], frame["channel"], frame["offset"]) for frame in frames] == [
        ("publication", "orders:42", 1),
        ("publication", "orders:42", 2),
    ]


def test_an_empty_run_is_nothing() -> None:
    assert Run().nested() == Run().frames(b"orders:42") == b""


# Reaching back


def test_what_was_read_of_the_stream_serves_everybody_who_missed_the_same() -> None:
    ring = a_ring(25, 30, head=20)
    assert ring.since(10) is None
    ring.reach_back(10, a_run(10, 12, 20), until=20)
    assert offsets(ring.since(10)) == [12, 20, 25, 30]
    assert offsets(ring.since(12)) == [20, 25, 30]
    assert ring.since(9) is None


def test_a_read_that_went_further_than_the_ring_begins_overlaps_it() -> None:
    ring = a_ring(25, 30, head=20)
    ring.reach_back(10, a_run(10, 20, 25), until=25)
    assert offsets(ring.since(10)) == [20, 25, 30]


@pytest.mark.parametrize("until", [10, 15, 19])
def test_a_read_that_ends_before_the_ring_begins_is_left_outside(until: int) -> None:
    ring = a_ring(25, head=20)
    ring.reach_back(10, (), until=until)
    assert ring.since(10) is None
    assert ring.floor == 20


def test_a_ring_does_not_outgrow_its_bounds_backwards() -> None:
    older = a_run(*range(1, RING_PUBLICATIONS + 10))
    ring = a_ring(1001, 1002, head=older[-1].offset)
    ring.reach_back(0, older, until=older[-1].offset)
    kept = ring.since(ring.floor)
    assert kept is not None
    assert len(kept) == RING_PUBLICATIONS
    assert ring.floor == kept[0].prev == older[-(RING_PUBLICATIONS - 2)].prev
    large = Stored(5, 0, b"x" * RING_BYTES)
    full = a_ring(10, head=5)
    full.reach_back(0, [large], until=5)
    assert (full.floor, offsets(full.since(5))) == (5, [10])


def test_a_channel_in_which_nothing_was_published_is_proved_once() -> None:
    ring = a_ring(head=20, quiet=True)
    ring.reach_back(7, (), until=ring.floor)
    assert (ring.floor, ring.since(7)) == (7, ())
    assert ring.accept(a_publication(25, 0)) is Verdict.NEXT
    assert offsets(ring.since(7)) == [25]
