"""What is done about a socket that does not take everything."""

from hypothesis import given
from hypothesis.strategies import integers, lists

from whimbrel.edge.core.outbox import Advice, Outbox

HIGH, STUCK = 1000, 30.0


def look(outbox: Outbox, unsent: int, *, live: bool = True, elapsed: float = 1.0) -> Advice:
    return outbox.look(unsent, live=live, elapsed=elapsed, high_watermark=HIGH, stuck_s=STUCK)


def test_up_to_the_watermark_a_slow_socket_is_written_live() -> None:
    outbox = Outbox(10)
    assert look(outbox, HIGH) is Advice.WAIT
    assert look(outbox, HIGH + 1) is Advice.LEAVE


def test_who_was_not_seen_to_take_anything_for_half_the_patience_catches_up_instead() -> None:
    outbox = Outbox(10)
    assert [look(outbox, 10 + number) for number in range(15)] == [Advice.WAIT] * 14 + [Advice.LEAVE]


def test_who_takes_nothing_for_the_whole_patience_is_closed() -> None:
    outbox = Outbox(10)
    assert look(outbox, HIGH + 1) is Advice.LEAVE
    assert [look(outbox, HIGH + 1, live=False) for _ in range(29)] == [Advice.WAIT] * 28 + [Advice.CLOSE]


def test_who_falls_behind_late_still_has_half_the_patience_to_show_that_it_reads() -> None:
    outbox = Outbox(10)
    assert look(outbox, HIGH + 1, elapsed=29) is Advice.LEAVE
    assert look(outbox, HIGH + 1, live=False, elapsed=14) is Advice.WAIT
    assert look(outbox, HIGH, live=False) is Advice.WAIT, "it took a byte"
    assert look(outbox, HIGH, live=False, elapsed=29) is Advice.WAIT
    assert look(outbox, HIGH, live=False) is Advice.CLOSE


@given(lists(integers(1, 20), min_size=1))
def test_whoever_takes_a_little_at_each_look_is_never_closed(taken: list[int]) -> None:
    left = 2 * HIGH + sum(taken)
    outbox = Outbox(left)
    for part in taken:
        left -= part
        assert look(outbox, left, live=False, elapsed=STUCK - 1) is Advice.WAIT
