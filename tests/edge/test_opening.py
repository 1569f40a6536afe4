"""One channel on its way to one subscriber: nothing is missed, and nothing comes twice."""

from tests.edge.people import a_publication, a_run
from whimbrel.edge.core.effects import Wanted
from whimbrel.edge.core.hub import LiveChannel
from whimbrel.edge.core.opening import Opening
from whimbrel.edge.core.recovery import Unrecoverable
from whimbrel.edge.core.ring import Ring
from whimbrel.edge.core.subscription import NotOpened, Opened
from whimbrel.protocol.channels import Channel
from whimbrel.protocol.codes import ErrorCode

CHANNEL = Channel("orders", "42")


def an_opening(*, head: int = 10, durable: bool = True) -> Opening:
    live = LiveChannel(CHANNEL, durable=durable, epoch="e1" if durable else "", now=0)
    if durable:
        live.ring = Ring(head)
    return Opening(Wanted(str(CHANNEL), CHANNEL), live)


def offsets(opened: Opened | NotOpened | None) -> list[int]:
    assert isinstance(opened, Opened)
    return [each.offset for each in opened.publications]


def test_nothing_is_told_before_it_is_known_where_to_begin() -> None:
    assert an_opening().complete() is None


def test_what_enters_the_ring_while_an_opening_is_prepared_is_part_of_it() -> None:
    opening = an_opening(head=10)
    opening.begin(10, True)
    opening.live.accept(a_publication(12, 10))
    opening.live.accept(a_publication(15, 12))
    opened = opening.complete()
    assert offsets(opened) == [12, 15]
    assert isinstance(opened, Opened)
    assert (opened.offset, opened.end, opened.recovered) == (10, 15, True)


def test_what_was_read_and_what_the_ring_has_join_without_a_seam() -> None:
    opening = an_opening(head=10)
    opening.live.accept(a_publication(12, 10))
    opening.begin(3, True, a_run(5, 10))
    opening.extend([a_publication(12, 10)])
    opening.live.accept(a_publication(15, 12))
    assert offsets(opening.complete()) == [5, 10, 12, 15]


def test_more_must_be_read_where_the_ring_moved_on_meanwhile() -> None:
    opening = an_opening(head=10)
    opening.begin(3, True)
    assert opening.complete() is None
    assert opening.at == 3
    opening.extend([])
    assert opening.at == 3
    opening.extend([a_publication(10, 3)])
    assert offsets(opening.complete()) == [10]


def test_a_position_ahead_of_the_ring_waits_for_it() -> None:
    opening = an_opening(head=10)
    opening.begin(20, True)
    opened = opening.complete()
    assert offsets(opened) == []
    assert isinstance(opened, Opened)
    assert opened.offset == 20


def test_a_history_that_was_lost_while_it_was_read_is_not_passed_off_as_complete() -> None:
    opening = an_opening(head=10)
    opening.begin(3, True, a_run(5, 10))
    opening.live.begin_anew("e2", 1)
    assert opening.complete() == Opened("e2", 1, recovered=False)


def test_who_gave_no_position_just_starts_in_the_new_history() -> None:
    opening = an_opening(head=10)
    opening.begin(10, None, a_run(10))
    opening.live.begin_anew("e2", 1)
    assert opening.complete() == Opened("e2", 1, recovered=None)


def test_a_channel_begun_anew_in_the_same_epoch_asks_the_stream_again() -> None:
    opening = an_opening(head=10)
    opening.begin(5, True, [a_publication(10, 5)])
    opening.live.begin_anew("e1", 400)
    assert opening.complete() is None, "the ring cannot tell what lies between 10 and 400"
    opening.extend([a_publication(400, 10)])
    assert offsets(opening.complete()) == [10, 400]


def test_who_cannot_be_given_everything_starts_at_the_head_with_nothing() -> None:
    opening = an_opening(head=10)
    opening.begin(3, True, a_run(5))
    opening.give_up(Unrecoverable("trimmed"))
    assert opening.complete() == Opened("e1", 10, recovered=False)


def test_an_ephemeral_channel_opens_without_a_position() -> None:
    opening = an_opening(durable=False)
    opening.begin(0, None)
    assert opening.complete() == Opened("", 0)


def test_a_refused_opening_stays_refused() -> None:
    opening = an_opening()
    opening.refused = NotOpened(ErrorCode.UNAVAILABLE, "later")
    opening.begin(10, None)
    assert opening.complete() == NotOpened(ErrorCode.UNAVAILABLE, "later")


def test_a_channel_that_the_pod_holds_no_more_is_not_opened() -> None:
    opening = an_opening()
    opening.begin(10, None)
    opening.live.gone = True
    refused = opening.complete()
    assert isinstance(refused, NotOpened)
    assert refused.code is ErrorCode.UNAVAILABLE
    assert refused.code.temporary
