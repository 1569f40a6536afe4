"""When to ask for more, what counts, and when a partition is still ours."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whimbrel.notifier.core.intake import (
    FENCE_S,
    KEEP_THE_PIN,
    LARGEST_BYTES,
    MAX_ACK_PENDING,
    MAX_HELD,
    MAX_HELD_BYTES,
    OVERDUE_S,
    PIN_S,
    PULL_S,
    Delivered,
    Intake,
    OutOfStep,
    Pull,
    Verdict,
)


def an_intake(handled: int = 0) -> Intake:
    return Intake(handled=handled, now=0)


def delivered(sequence: int, consumer_sequence: int) -> Delivered:
    return Delivered(sequence, consumer_sequence, stored_at_ns=0, pending=3)


def test_a_reply_subject_tells_where_an_event_stands() -> None:
    reply = "$JS.ACK.EVENTS.notifier_3.2.41.7.1795413697972181970.12"
    assert Delivered.parse(reply) == Delivered(41, 7, 1795413697972181970, 12)


def test_a_reply_subject_of_the_newer_form_is_read_as_well() -> None:
    reply = "$JS.ACK.hub.ACCHASH.EVENTS.notifier_3.2.41.7.1795413697972181970.12.token"
    assert Delivered.parse(reply) == Delivered(41, 7, 1795413697972181970, 12)


def test_the_first_request_asks_for_all_there_is_room_for() -> None:
    assert an_intake().pull(now=0, held=0, held_bytes=0) == Pull(MAX_HELD, MAX_HELD_BYTES)


def test_more_is_asked_for_when_half_is_used_up() -> None:
    intake = an_intake()
    intake.pull(now=0, held=0, held_bytes=0)
    for number in range(1, MAX_HELD // 2 + 1):
        assert intake.pull(now=0, held=0, held_bytes=0) is None
        intake.delivered(delivered(number, number))
    assert intake.pull(now=0, held=0, held_bytes=0) == Pull(MAX_HELD // 2, MAX_HELD_BYTES)


@pytest.mark.parametrize(("held", "held_bytes"), [(MAX_HELD, 0), (1, MAX_HELD_BYTES)])
def test_who_is_full_keeps_the_pin_and_asks_for_no_event(held: int, held_bytes: int) -> None:
    intake = an_intake()
    assert intake.pull(now=0, held=held, held_bytes=held_bytes) is None
    assert intake.pull(now=PULL_S, held=held, held_bytes=held_bytes) == KEEP_THE_PIN
    intake.ended(1)
    assert intake.pull(now=PULL_S, held=held, held_bytes=held_bytes) is None
    assert intake.pull(now=PULL_S, held=held - 1, held_bytes=0) == Pull(MAX_HELD - held + 1, MAX_HELD_BYTES)


def test_of_events_that_cannot_be_sent_no_more_bytes_are_taken_than_the_bound_and_one_request() -> None:
    intake = an_intake()
    size = LARGEST_BYTES // 2
    held, number, now = 0, 0, 0.0
    while now < 60:
        while (pull := intake.pull(now=now, held=held, held_bytes=held * size)) is not None:
            served = min(pull.batch, pull.max_bytes // size)  # a server with any number of events
            for _ in range(served):
                number += 1
                intake.delivered(delivered(number, number))
            held += served
            intake.ended(pull.batch - served)
        now += PULL_S / 4
    assert held * size <= MAX_HELD_BYTES + LARGEST_BYTES


def test_an_idle_partition_asks_anew_whenever_a_request_expires() -> None:
    intake = an_intake()
    intake.pull(now=0, held=0, held_bytes=0)
    intake.ended(MAX_HELD)
    assert intake.pull(now=PULL_S, held=0, held_bytes=0) == Pull(MAX_HELD, MAX_HELD_BYTES)


def test_a_request_lasts_less_than_the_fence_and_the_fence_less_than_the_pin() -> None:
    assert PULL_S + OVERDUE_S < FENCE_S < PIN_S


def test_events_in_order_are_taken() -> None:
    intake = an_intake(handled=10)
    assert [intake.delivered(delivered(11, 1)), intake.delivered(delivered(15, 2))] == [Verdict.TAKE, Verdict.TAKE]
    assert intake.pending == 3


def test_an_event_handled_before_is_skipped() -> None:
    assert an_intake(handled=10).delivered(delivered(10, 1)) is Verdict.SKIP


def test_an_event_that_comes_again_while_in_hand_is_ignored_and_skipped_once_it_is_handled() -> None:
    intake = an_intake()
    intake.delivered(delivered(1, 1))
    assert intake.delivered(delivered(1, 2)) is Verdict.IGNORE
    intake.handled(1)
    assert intake.delivered(delivered(1, 3)) is Verdict.SKIP


@pytest.mark.parametrize("first", [0, 2, 7])
def test_a_hole_in_the_deliveries_is_out_of_step(first: int) -> None:
    with pytest.raises(OutOfStep, match=f"delivery {first} follows 0"):
        an_intake().delivered(delivered(1, first))


def test_a_request_whose_end_is_not_told_is_written_off_and_the_second_one_is_out_of_step() -> None:
    intake = an_intake()
    late = PULL_S + OVERDUE_S + 0.1
    intake.pull(now=0, held=0, held_bytes=0)
    intake.check(now=late - 0.2)
    intake.check(now=late)
    assert intake.pull(now=late, held=0, held_bytes=0) is not None
    with pytest.raises(OutOfStep, match="does not answer"):
        intake.check(now=2 * late)


def test_a_partition_is_ours_while_the_pin_was_renewed_lately() -> None:
    intake = an_intake()
    intake.pull(now=10 - FENCE_S - 9, held=0, held_bytes=0)
    intake = Intake(handled=0, now=10)
    assert intake.may_publish(now=10 + FENCE_S - 0.1)
    assert not intake.may_publish(now=10 + FENCE_S)


def test_who_stood_still_does_not_renew_the_pin_as_if_nothing_had_been() -> None:
    intake = an_intake()
    with pytest.raises(OutOfStep, match="nothing was asked for"):
        intake.pull(now=FENCE_S, held=0, held_bytes=0)
    assert not intake.may_publish(now=FENCE_S)


def test_as_many_events_are_doubtful_as_can_have_been_under_way_when_a_notifier_died() -> None:
    intake = an_intake()
    for number in range(1, MAX_ACK_PENDING + 1):
        intake.delivered(delivered(number, number))
        assert intake.is_doubtful
    intake.delivered(delivered(MAX_ACK_PENDING + 1, MAX_ACK_PENDING + 1))
    assert not intake.is_doubtful


@given(
    st.lists(st.sampled_from(["deliver", "finish", "expire", "wait"]), max_size=200),
    st.sampled_from([0, MAX_HELD_BYTES // 8]),
)
def test_never_more_than_the_bound_is_held_and_asked_for_and_never_does_asking_cease(
    steps: list[str], size: int
) -> None:
    intake = an_intake()
    now, held, asked, last, number = 0.0, 0, 0, 0.0, 0
    for step in steps:
        match step:
            case "deliver" if asked:
                number += 1
                assert intake.delivered(delivered(number, number)) is Verdict.TAKE
                held, asked = held + 1, asked - 1
            case "finish" if held:
                held -= 1
            case "expire":
                intake.ended(asked)
                asked = 0
            case "wait":
                now += 0.5
                if now >= last + PULL_S:
                    intake.ended(asked)
                    asked = 0
        pull = intake.pull(now=now, held=held, held_bytes=held * size)
        if pull is not None:
            asked, last = asked + pull.batch, now
        assert held + asked <= MAX_HELD + 1  # one of them asks for less than an event
        assert intake.may_publish(now=now)
