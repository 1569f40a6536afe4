"""The checker finds what it is there to find: each promise broken by hand, and nothing where all are kept."""

import pytest

from tests.faults.checker import violations
from tests.faults.records import History, Published, Received, Reset, Seen
from tests.faults.schedule import MENU, drawn

CHANNEL = "orders:1"


def a_run(
    *seen: Seen, acked: int = 5, unknown: frozenset[int] = frozenset(), trimmed: frozenset[str] = frozenset()
) -> History:
    published = a_publisher(acked, unknown)
    return History({CHANNEL: published}, {("alice", CHANNEL): list(seen)}, trimmed=set(trimmed))


def a_publisher(acked: int, unknown: frozenset[int]) -> Published:
    published = Published(unknown=set(unknown))
    for number in sorted(set(range(acked)) - unknown):
        published.acknowledge(number, number + 1)
    return published


def received(*numbers: int) -> list[Seen]:
    return [Received(number, 10 + place) for place, number in enumerate(numbers)]


def test_a_run_in_which_everything_arrived_once_and_in_order_is_good() -> None:
    assert violations(a_run(*received(0, 1, 2, 3, 4))) == []


def test_what_was_given_up_may_come_or_not() -> None:
    for numbers in ((0, 1, 2, 3, 4), (0, 1, 3, 4)):
        assert violations(a_run(*received(*numbers), unknown=frozenset({2}))) == []


@pytest.mark.parametrize(
    ("numbers", "what"),
    [
        ((0, 1, 3, 4), "2 did not come before 3"),
        ((0, 1, 2, 3), "4 never came"),
        ((0, 1, 2, 2, 3, 4), "2 came twice"),
        ((0, 2, 1, 3, 4), "1 came behind 2"),
        ((0, 1, 2, 3, 4, 9), "9 came, and nobody published it"),
        ((), "0, 1, 2, 3, 4 never came"),
    ],
)
def test_a_broken_promise_is_named(numbers: tuple[int, ...], what: str) -> None:
    assert f"alice in {CHANNEL}: {what}" in violations(a_run(*received(*numbers)))


def test_what_was_given_up_may_come_late_but_once() -> None:
    assert violations(a_run(*received(0, 1, 3, 2, 4), unknown=frozenset({2}))) == []
    twice = violations(a_run(*received(0, 1, 2, 3, 2, 4), unknown=frozenset({2})))
    assert twice == [f"alice in {CHANNEL}: 2 came twice"]


def test_an_offset_that_goes_back_is_named() -> None:
    run = a_run(*received(0, 1, 2, 3), Received(4, 3))
    assert violations(run) == [f"alice in {CHANNEL}: offset 3 came behind 13"]


def test_a_reload_is_right_only_where_history_was_taken_away_and_goes_on_from_what_it_told() -> None:
    seen = [*received(0, 1), Reset(50, known=3), Received(4, 51)]
    assert violations(a_run(*seen, trimmed=frozenset({CHANNEL}))) == []
    assert violations(a_run(*seen)) == [f"alice in {CHANNEL}: told to reload at offset 50, though only 2 were missed"]
    missed = [*received(0, 1), Reset(5000, known=1003), Received(1004, 5001)]
    assert violations(a_run(*missed, acked=1005)) == [], "more than one recovery gives"
    seen = [*received(0, 1), Reset(50, known=2), Received(4, 51)]
    assert violations(a_run(*seen, trimmed=frozenset({CHANNEL}))) == [f"alice in {CHANNEL}: 3 did not come before 4"]


def two_channels(one: list[Seen], other: list[Seen]) -> History:
    published = a_publisher(5, frozenset({2}))
    return History({CHANNEL: published, "orders:2": published}, {("alice", CHANNEL): one, ("bob", "orders:2"): other})


def test_an_event_that_was_given_up_comes_to_all_its_channels_or_to_none() -> None:
    everything, rest = received(0, 1, 2, 3, 4), received(0, 1, 3, 4)
    assert violations(two_channels(everything, everything)) == []
    assert violations(two_channels(rest, rest)) == []
    torn = "bob in orders:2: 2 was given up and came to others, not here"
    assert violations(two_channels(everything, rest)) == [torn]
    assert violations(two_channels(received(0, 1, 3, 4, 2), rest)) == [], "stored last: it may be under way to bob"


def test_who_was_told_to_reload_cannot_tell_whether_an_event_is_torn() -> None:
    reloaded: list[Seen] = [*received(0, 1), Reset(50, known=4)]
    run = two_channels(received(0, 1, 2, 3, 4), reloaded)
    run.trimmed = {"orders:2"}
    assert violations(run) == []


def test_each_reload_must_be_in_the_ledger_of_gaps_unless_it_may_lack_some() -> None:
    run = a_run(*received(0, 1), Reset(50, known=4), trimmed=frozenset({CHANNEL}))
    assert violations(run) == []
    run.ledger = {CHANNEL: 1}
    assert violations(run) == []
    run.ledger = {}
    assert violations(run) == [f"{CHANNEL}: told to reload 1 times, of which the ledger knows 0"]


def test_a_client_has_all_when_it_has_the_last_or_was_told_it_by_a_reload() -> None:
    assert a_run(*received(3, 4)).has_all("alice", CHANNEL)
    assert not a_run(*received(2, 3)).has_all("alice", CHANNEL)
    assert a_run(*received(1), Reset(50, known=4)).has_all("alice", CHANNEL)
    assert a_run(acked=0).has_all("alice", CHANNEL)


def test_a_seed_gives_the_same_faults_again_and_another_one_others() -> None:
    parts = ("edge", "edge-2", "nats-3", "leader", "clients-1", "client-7", "wire-edge-2", "routes-nats", "clock-auth")
    assert drawn(7, parts=parts, seconds=20) == drawn(7, parts=parts, seconds=20)
    assert drawn(7, parts=parts, seconds=20) != drawn(8, parts=parts, seconds=20)
    assert {step.target.split("-")[0] for seed in range(50) for step in drawn(seed, parts=parts, seconds=20)} <= set(
        MENU
    )
