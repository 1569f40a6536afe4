"""The rule of a channel: duplicate, next, or gap; and what a slow application costs."""

from typing import Any

import pytest

from whimbrel.client import Joined, Publication, Recovered, Reset
from whimbrel.client.core.reading import Need, Phase, Reading
from whimbrel.protocol.frames import Subscription
from whimbrel.protocol.positions import Position


def publication(offset: int | None, prev: int | None = None, channel: str | None = None) -> Publication:
    return Publication(channel=channel, event="e", event_id="1", time="t", data=None, offset=offset, prev=prev)


def at(offset: int, epoch: str = "e1") -> Position:
    return Position(epoch=epoch, offset=offset)


def opened(offset: int, epoch: str = "e1", recovered: bool | None = None, *inside: Publication) -> Subscription:
    return Subscription(epoch=epoch, offset=offset, recovered=recovered, publications=inside)


def a_reading(offset: int = 7, **options: Any) -> Reading:
    """A reading of orders:42 that is open and stands at ``offset``."""
    reading = Reading("orders:42", **({"capacity": 10} | options))
    reading.asked(1)
    reading.opened(opened(offset))
    return reading


def test_the_next_publication_is_applied_and_bears_the_channel() -> None:
    reading = a_reading(7)
    [delivered], need = reading.publication(publication(9, prev=7))
    assert need is Need.NOTHING
    assert isinstance(delivered.event, Publication)
    assert delivered.event.channel == "orders:42"
    assert delivered.position == reading.position == at(9)


def test_a_publication_whose_predecessor_was_trimmed_is_applied() -> None:
    reading = a_reading(7)
    [delivered], _ = reading.publication(publication(9, prev=3))
    assert delivered.position == at(9)


@pytest.mark.parametrize("offset", [5, 7])
def test_a_duplicate_is_dropped(offset: int) -> None:
    reading = a_reading(7)
    assert reading.publication(publication(offset, prev=4)) == ([], Need.NOTHING)
    assert reading.position == at(7)


def test_a_gap_applies_nothing_and_asks_from_the_position() -> None:
    reading = a_reading(7)
    assert reading.publication(publication(12, prev=9)) == ([], Need.ASK)
    assert reading.position == at(7)
    assert reading.phase is Phase.WAITING


def test_what_comes_between_a_gap_and_the_answer_does_not_count() -> None:
    reading = a_reading(7)
    reading.publication(publication(12, prev=9))
    reading.asked(2)
    assert reading.publication(publication(13, prev=7)) == ([], Need.NOTHING)
    delivered, _ = reading.opened(opened(7, "e1", True, publication(9, 7), publication(12, 9)))
    assert [each.position for each in delivered] == [at(7), at(9), at(12)]


def test_a_second_gap_at_the_same_place_is_counted() -> None:
    reading = a_reading(7)
    for tries in (0, 1, 1):
        assert reading.publication(publication(12, prev=9))[1] is Need.ASK
        assert reading.tries == tries
        reading.opened(opened(7, "e1", True))


def test_a_position_frame_moves_on_without_an_event() -> None:
    reading = a_reading(7)
    [delivered], _ = reading.skipped(9, prev=7)
    assert (delivered.event, delivered.position) == (None, at(9))
    assert reading.skipped(12, prev=11) == ([], Need.ASK)


def test_recovered_true_continues_and_says_so() -> None:
    reading = a_reading(7)
    reading.lost()
    delivered, _ = reading.opened(opened(7, "e1", True, publication(9, 7)))
    assert isinstance(delivered[0].event, Recovered)
    assert delivered[-1].position == at(9)


def test_recovered_false_is_a_reset_to_the_head() -> None:
    reading = a_reading(7)
    [delivered], _ = reading.opened(opened(100, "e2", False))
    assert delivered.event == Reset("orders:42", at(100, "e2"))
    assert reading.position == at(100, "e2")


def test_an_answer_that_begins_before_us_never_leads_back() -> None:
    """Another link may have brought us further while the answer was under way."""
    reading = a_reading(7)
    delivered, _ = reading.opened(opened(3, "e1", True, publication(5, 3), publication(7, 5), publication(9, 7)))
    assert [each.position for each in delivered] == [at(7), at(9)]


@pytest.mark.parametrize("unproved", [opened(9), opened(7, "e2"), opened(7, "e2", True)])
def test_a_channel_that_was_opened_elsewhere_without_proof_is_a_reset(unproved: Subscription) -> None:
    reading = a_reading(7)
    [delivered], _ = reading.opened(unproved)
    assert isinstance(delivered.event, Reset)


def test_without_room_a_channel_pauses_and_goes_on_once_half_is_taken() -> None:
    reading = a_reading(0, capacity=4)
    for offset in (1, 2, 3, 4):
        reading.publication(publication(offset, prev=offset - 1))
    assert reading.publication(publication(5, prev=4)) == ([], Need.STOP)
    assert reading.phase is Phase.PAUSED
    assert reading.position == at(4)
    assert reading.publication(publication(6, prev=4)) == ([], Need.NOTHING)
    assert not reading.taken(1)
    assert reading.taken(1)


def test_a_loss_does_not_wake_a_paused_channel() -> None:
    reading = a_reading(0, capacity=1)
    reading.publication(publication(1, prev=0))
    reading.publication(publication(2, prev=1))
    reading.lost()
    assert reading.phase is Phase.PAUSED


def test_an_ephemeral_channel_has_no_position_and_drops_what_finds_no_room() -> None:
    reading = Reading("typing:42", capacity=1)
    reading.asked(1)
    reading.opened(Subscription())
    assert len(reading.publication(publication(None))[0]) == 1
    assert reading.publication(publication(None)) == ([], Need.NOTHING)
    assert reading.dropped == 1
    assert reading.position is None
    assert reading.phase is Phase.OPEN


def test_remarks_are_left_out_where_there_is_no_room() -> None:
    reading = a_reading(0, capacity=1)
    assert len(reading.remark(Joined("orders:42", "bob"))) == 1
    assert reading.remark(Joined("orders:42", "eve")) == []


def test_who_comes_late_to_an_inbox_starts_where_the_edge_began() -> None:
    inbox = Reading("inbox", capacity=1, heard=False)
    inbox.opened(opened(3))
    [silent], _ = inbox.publication(publication(5, prev=3))
    assert silent.event is None
    assert inbox.attached(position=None, capacity=10)
    assert inbox.position == at(3)
    assert inbox.phase is Phase.WAITING


def test_who_comes_to_an_inbox_before_anything_did_need_not_ask() -> None:
    inbox = Reading("inbox", capacity=1, heard=False)
    inbox.opened(opened(3))
    assert not inbox.attached(position=None, capacity=10)
    assert len(inbox.publication(publication(5, prev=3))[0]) == 1


def test_a_poll_ends_where_it_says_unless_there_was_a_gap() -> None:
    reading = a_reading(7)
    assert reading.settled(at(6)) == []
    [delivered] = reading.settled(at(8))
    assert delivered.position == at(8)
    reading.publication(publication(12, prev=11))
    assert reading.settled(at(12)) == []
    assert reading.position == at(8)
