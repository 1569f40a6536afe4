"""From a publication in a ring to the sockets: joined, in order, in slices, past whoever is gone."""

import asyncio
import json
from collections.abc import Callable

import pytest
from opentelemetry.trace import NoOpTracer

from tests.edge.people import Patient, a_publication, a_run
from tests.support.waiting import within
from whimbrel.edge.core.hub import Hub, LiveChannel
from whimbrel.edge.core.ring import Ring, Stored
from whimbrel.edge.shell.fanout import ANSWERS, MAX_QUEUED, SLICE, Fanout, text_message
from whimbrel.edge.shell.metrics import Counters
from whimbrel.protocol.channels import Channel


class Crowd:
    """A channel with ``size`` subscribers, each a list of the WebSocket messages written to it."""

    def __init__(self, size: int) -> None:
        self.hub = Hub()
        self.counters = Counters()
        self.fanout = Fanout(self.hub, NoOpTracer(), self.counters)
        self.live = LiveChannel(Channel("orders", "42"), durable=True, epoch="e1", now=0)
        self.live.ring = Ring(0)
        self.written: list[list[bytes]] = []
        for _ in range(size):
            self.join()

    def join(self, write: Callable[[bytes], None] | None = None) -> list[bytes]:
        written: list[bytes] = []
        self.written.append(written)
        self.live.join(len(self.written), written.append if write is None else write)
        return written

    def publish(self, *publications: Stored) -> None:
        """Take what one read of the bus brought, and flush."""
        for each in publications:
            self.live.accept(each)
        self.hub.mark(self.live)
        self.fanout.flush()


def offsets(messages: list[bytes]) -> list[int]:
    """Return the offsets of the publications in ``messages``."""
    found = []
    for each in messages:
        body = json.loads(each[4 if each[1] == 126 else 10 if each[1] == 127 else 2 :])
        found += [frame["offset"] for frame in (body if isinstance(body, list) else [body])]
    return found


@pytest.mark.parametrize(
    ("size", "head"),
    [
        (0, b"\x81\x00"),
        (125, b"\x81\x7d"),
        (126, b"\x81\x7e\x00\x7e"),
        (65_535, b"\x81\x7e\xff\xff"),
        (65_536, b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
    ],
)
def test_a_message_is_one_unmasked_text_frame_of_the_shortest_head(size: int, head: bytes) -> None:
    assert text_message(b"x" * size) == head + b"x" * size


def test_a_single_publication_is_an_object_and_several_of_one_read_are_one_array() -> None:
    crowd = Crowd(2)
    crowd.publish(*a_run(1))
    crowd.publish(a_publication(2, 1), a_publication(3, 2), a_publication(4, 3))
    first, second = crowd.written[0]
    assert first[2:3] == b"{" or first[4:5] == b"{"
    assert offsets([first]) == [1]
    assert offsets([second]) == [2, 3, 4]
    assert crowd.written[0] == crowd.written[1]
    assert crowd.fanout.deliveries == 4
    assert crowd.fanout.publications == 4


def test_what_is_joined_stays_below_256_kib_a_message() -> None:
    crowd = Crowd(1)
    crowd.publish(*(a_publication(at, at - 1, "x" * 100_000) for at in range(1, 6)))
    assert [offsets([each]) for each in crowd.written[0]] == [[1, 2], [3, 4], [5]]


def test_nothing_pending_writes_nothing() -> None:
    crowd = Crowd(1)
    crowd.fanout.flush()
    crowd.hub.mark(crowd.live)
    crowd.fanout.flush()
    assert crowd.written == [[]]


def test_a_channel_that_is_marked_twice_is_flushed_once() -> None:
    crowd = Crowd(1)
    for each in a_run(1, 2):
        crowd.live.accept(each)
        crowd.hub.mark(crowd.live)
    crowd.fanout.flush()
    assert len(crowd.written[0]) == 1


async def test_beyond_1000_subscribers_the_loop_gets_a_turn_between_slices() -> None:
    crowd = Crowd(2 * SLICE + 1)
    crowd.publish(*a_run(1))
    assert sum(map(len, crowd.written)) == SLICE
    await asyncio.sleep(0)
    assert sum(map(len, crowd.written)) == 2 * SLICE
    await asyncio.sleep(0)
    assert [len(each) for each in crowd.written] == [1] * (2 * SLICE + 1)
    assert crowd.fanout.deliveries == 2 * SLICE + 1


async def test_what_comes_between_slices_reaches_everybody_in_order() -> None:
    crowd = Crowd(SLICE + 1)
    crowd.publish(*a_run(1))
    crowd.publish(a_publication(2, 1))
    crowd.publish(a_publication(3, 2))
    for _ in range(5):
        await asyncio.sleep(0)
    assert {tuple(offsets(each)) for each in crowd.written} == {(1, 2, 3)}
    assert len(crowd.written[0]) == 2, "what waited for the same audience was joined"


async def test_whose_turn_is_next_gets_what_came_meanwhile_at_once() -> None:
    crowd = Crowd(3 * SLICE)
    crowd.publish(*a_run(1))
    first, second, third = (crowd.written[at * SLICE] for at in range(3))
    crowd.publish(a_publication(2, 1))
    await asyncio.sleep(0)
    crowd.publish(a_publication(3, 2))
    await asyncio.sleep(0)
    assert [offsets([each]) for each in second] == [[1, 2]]
    assert [offsets([each]) for each in third] == [[1, 2, 3]]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert [offsets([each]) for each in first] == [[1], [2, 3]]
    assert [offsets([each]) for each in second] == [[1, 2], [3]]
    await asyncio.sleep(0)
    assert sum(map(len, crowd.written)) == 5 * SLICE, "who has everything has no turn"


async def test_the_audience_is_the_one_of_the_moment_of_publication() -> None:
    crowd = Crowd(SLICE + 1)
    crowd.publish(*a_run(1))
    late = crowd.join()  # was given publication 1 in its subscription
    crowd.publish(a_publication(2, 1))
    for _ in range(5):
        await asyncio.sleep(0)
    assert offsets(late) == [2]
    assert offsets(crowd.written[0]) == [1, 2]


async def test_a_channel_that_becomes_small_keeps_its_order_behind_the_slices_under_way() -> None:
    crowd = Crowd(SLICE + 1)
    crowd.publish(*a_run(1))
    for member in range(2, SLICE):
        crowd.hub.detach(crowd.live, member, now=0)
    crowd.publish(a_publication(2, 1))
    for _ in range(5):
        await asyncio.sleep(0)
    assert offsets(crowd.written[0]) == [1, 2]
    assert offsets(crowd.written[SLICE]) == [1, 2]


async def test_a_fan_out_that_falls_too_far_behind_stops_yielding() -> None:
    crowd = Crowd(SLICE + 1)
    crowd.publish(*a_run(1))
    crowd.publish(*(a_publication(at, at - 1) for at in range(2, MAX_QUEUED + 3)))
    assert len(offsets(crowd.written[SLICE])) == MAX_QUEUED + 2, "nothing waits any more, without a turn of the loop"
    await asyncio.sleep(0)
    crowd.publish(a_publication(MAX_QUEUED + 3, MAX_QUEUED + 2))
    for _ in range(3):
        await asyncio.sleep(0)
    assert offsets(crowd.written[0]) == offsets(crowd.written[SLICE]) == list(range(1, MAX_QUEUED + 4))


def _gone(_: bytes) -> None:
    # What uvloop's transport does after connection_lost.
    raise RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed")


async def test_what_is_on_its_way_is_waited_for_and_what_comes_after_it_is_not() -> None:
    crowd = Crowd(3 * SLICE)
    await within(crowd.fanout.settled(crowd.live))
    crowd.publish(a_publication(1, 0))
    waiting = asyncio.ensure_future(crowd.fanout.settled(crowd.live))
    offset = 1
    while not waiting.done():
        assert offset < 10, "there is always more to come"
        offset += 1
        crowd.publish(a_publication(offset, offset - 1))
        await asyncio.sleep(0)
    assert all(offsets(written)[:1] == [1] for written in crowd.written)


async def test_a_socket_that_is_lost_between_two_slices_holds_nobody_up() -> None:
    crowd = Crowd(SLICE)
    crowd.join(_gone)
    last = crowd.join()
    crowd.publish(*a_run(1))
    crowd.publish(a_publication(2, 1))
    for _ in range(5):
        await asyncio.sleep(0)
    assert offsets(last) == [1, 2]
    crowd.publish(a_publication(3, 2))
    for _ in range(5):
        await asyncio.sleep(0)
    assert offsets(last) == offsets(crowd.written[0]) == [1, 2, 3]


def test_a_socket_that_is_lost_costs_the_others_of_a_small_channel_nothing() -> None:
    crowd = Crowd(1)
    crowd.join(_gone)
    last = crowd.join()
    crowd.publish(*a_run(1, 2))
    assert offsets(crowd.written[0]) == offsets(last) == [1, 2]


# Polls that wait


async def test_who_waits_is_answered_once_after_everything_that_one_read_of_the_bus_brought() -> None:
    crowd, poll = Crowd(0), Patient()
    other = LiveChannel(Channel("orders", "43"), durable=True, epoch="e1", now=0)
    other.ring = Ring(0)
    for live in (crowd.live, other):
        live.wait(poll)
        live.accept(a_publication(1, 0))
        crowd.hub.mark(live)
    crowd.fanout.flush()
    assert poll.turns == []
    await asyncio.sleep(0)
    assert len(poll.turns) == 1
    assert poll.heard == [], "the rings have it"
    await asyncio.sleep(0)
    assert len(poll.turns) == 1


async def test_who_waits_for_an_ephemeral_channel_hears_what_no_ring_keeps() -> None:
    crowd, poll = Crowd(0), Patient()
    typing = LiveChannel(Channel("typing", "42"), durable=False, epoch="", now=0)
    typing.wait(poll)
    for number in (b"1", b"2"):
        typing.accept_ephemeral(b'{"event":%b}' % number, b"")
        crowd.hub.mark(typing)
        crowd.fanout.flush()
    await asyncio.sleep(0)
    assert [json.loads(frame)["event"] for frame in poll.heard] == [1, 2]
    assert len(poll.turns) == 1


async def test_those_who_wait_are_answered_oldest_first_in_slices() -> None:
    crowd = Crowd(0)
    polls = [Patient() for _ in range(2 * ANSWERS + 1)]
    for poll in polls:
        crowd.live.wait(poll)
    crowd.publish(*a_run(1))
    for answered in (ANSWERS, 2 * ANSWERS, 2 * ANSWERS + 1):
        await asyncio.sleep(0)
        assert [bool(poll.turns) for poll in polls] == [True] * answered + [False] * (len(polls) - answered)
    assert polls[0].turns[0] is polls[ANSWERS - 1].turns[0]
    assert polls[0].turns[0] is not polls[ANSWERS].turns[0], "the rings may have moved meanwhile"
    crowd.publish(a_publication(2, 1))
    await asyncio.sleep(0)
    assert len(polls[0].turns) == 2
