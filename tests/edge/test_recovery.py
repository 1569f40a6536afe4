"""Completeness is shown, never assumed."""

import pytest

from whimbrel.edge.core.recovery import Complete, NeedsBounds, StreamBounds, Unrecoverable, chained, judge
from whimbrel.protocol.limits import RECOVERY_BYTES, RECOVERY_LIMIT


def read(*sequences: int) -> list[tuple[int, bytes, bytes]]:
    return [(sequence, b"{}", b"") for sequence in sequences]


def links(verdict: object) -> list[tuple[int, int]]:
    """Return (offset, prev) of what is complete."""
    assert isinstance(verdict, Complete)
    return [(each.offset, each.prev) for each in verdict.publications]


def test_the_publication_at_the_position_proves_that_nothing_after_it_was_trimmed() -> None:
    assert links(judge(17, read(17, 20, 31), 0, None)) == [(20, 17), (31, 20)]
    assert links(judge(17, read(17), 0, None)) == []


def test_without_it_the_streams_bounds_are_asked_for() -> None:
    assert judge(17, read(20), 0, None) == NeedsBounds()
    assert judge(17, [], 0, None) == NeedsBounds()


@pytest.mark.parametrize("first", [1, 17, 18])
def test_a_stream_that_still_begins_at_or_before_the_position_proves_it(first: int) -> None:
    assert links(judge(17, read(20, 31), 0, StreamBounds(first, 40))) == [(20, 17), (31, 20)]
    assert links(judge(17, [], 0, StreamBounds(first, 17))) == []


def test_a_stream_that_begins_later_proves_nothing() -> None:
    assert judge(17, read(20), 0, StreamBounds(19, 40)) == Unrecoverable("trimmed")
    assert judge(17, [], 0, StreamBounds(19, 40)) == Unrecoverable("trimmed")


def test_a_position_beyond_the_streams_end_is_of_another_history() -> None:
    assert judge(41, [], 0, StreamBounds(1, 40)) == Unrecoverable("ahead")
    assert links(judge(40, [], 0, StreamBounds(1, 40))) == []


def test_more_than_the_limit_is_not_recovered_whether_read_or_left() -> None:
    exactly = read(*range(17, 18 + RECOVERY_LIMIT))
    assert len(links(judge(17, exactly, 0, None))) == RECOVERY_LIMIT
    assert judge(17, exactly, 1, None) == Unrecoverable("too_many", RECOVERY_LIMIT + 1)
    assert judge(16, exactly, 0, StreamBounds(1, 5000)) == Unrecoverable("too_many", RECOVERY_LIMIT + 1)


def test_more_than_4_mib_is_not_recovered() -> None:
    half = b"x" * (RECOVERY_BYTES // 2)
    fits = [(17, b"x" * RECOVERY_BYTES, b""), (18, half, b""), (19, half, b"")]
    assert links(judge(17, fits, 0, None)) == [(18, 17), (19, 18)], "what the client has already does not count"
    assert judge(17, [*fits, (20, b"x", b"")], 0, None) == Unrecoverable("too_large", 3)


def test_a_channel_with_as_many_newer_ones_as_are_retained_may_have_lost_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whimbrel.edge.core.recovery.RETAINED_PER_CHANNEL", 3)
    assert links(judge(17, read(20, 21), 0, StreamBounds(1, 40))) == [(20, 17), (21, 20)]
    assert judge(17, read(20, 21, 22), 0, StreamBounds(1, 40)) == Unrecoverable("trimmed")
    assert judge(17, read(20, 21), 1, StreamBounds(1, 40)) == Unrecoverable("trimmed")
    assert links(judge(17, read(17, 20, 21, 22), 0, None)) == [(20, 17), (21, 20), (22, 21)]


def test_each_publication_names_the_one_before_it() -> None:
    assert [(each.offset, each.prev) for each in chained(read(3, 7, 12), 1)] == [(3, 1), (7, 3), (12, 7)]
