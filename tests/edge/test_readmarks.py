"""How far a user has handled a channel, for all devices."""

import asyncio

import pytest

from tests.edge.edges import Edge, an_edge, eventually
from tests.edge.neighbours import LOG, Neighbours, a_name
from tests.support.waiting import within
from whimbrel.edge.shell import readmarks
from whimbrel.edge.shell.readmarks import ReadMarks
from whimbrel.protocol import subjects
from whimbrel.protocol.channels import Channel
from whimbrel.protocol.rpc import ReadMark
from whimbrel.runtime.directget import DirectGet
from whimbrel.runtime.errors import BusUnavailable

pytestmark = pytest.mark.asyncio(loop_scope="module")
INBOX = Channel("user", "somebody")


def mark(offset: int, epoch: str = "e1") -> ReadMark:
    return ReadMark(epoch=epoch, offset=offset)


def some_marks(edge: Edge) -> ReadMarks:
    """Return the marks of a pod that writes when the test says so."""
    connection = edge.pod.requests._connection
    return ReadMarks(connection, DirectGet(connection), LOG)


async def stored(edge: Edge, user: str, channel: Channel = INBOX) -> ReadMark | None:
    """Return the mark as a pod that knows nothing reads it."""
    return await within(some_marks(edge).read(user, channel))


async def write(marks: ReadMarks) -> None:
    await within(marks._write(list(marks._unwritten)))


async def test_a_mark_is_known_at_once_and_stored_soon(edge: Edge) -> None:
    user, marks = a_name("alice"), some_marks(edge)
    assert await marks.read(user, INBOX) is None
    marks.move(user, INBOX, mark(7))
    assert await marks.read(user, INBOX) == mark(7)
    assert await stored(edge, user) is None
    await write(marks)
    assert await stored(edge, user) == mark(7)
    assert marks._unwritten == {}


async def test_a_mark_never_moves_back_not_even_from_another_pod(edge: Edge) -> None:
    user, phone, laptop = a_name("alice"), some_marks(edge), some_marks(edge)
    phone.move(user, INBOX, mark(9))
    phone.move(user, INBOX, mark(8))
    await write(phone)
    assert await stored(edge, user) == mark(9)
    for each in (phone, laptop):
        each.move(user, INBOX, mark(5))
        await write(each)
        assert await stored(edge, user) == mark(9)
        assert each._unwritten == {}
    laptop.move(user, INBOX, mark(12))
    await write(laptop)
    assert await stored(edge, user) == mark(12)


async def test_in_a_new_history_a_mark_starts_anew(edge: Edge) -> None:
    user, marks = a_name("alice"), some_marks(edge)
    marks.move(user, INBOX, mark(900))
    await write(marks)
    marks.move(user, INBOX, mark(3, "e2"))
    await write(marks)
    assert await stored(edge, user) == mark(3, "e2")


async def test_two_pods_that_write_at_once_keep_the_newer_mark(edge: Edge) -> None:
    user, one, two = a_name("alice"), some_marks(edge), some_marks(edge)
    one.move(user, INBOX, mark(5))
    two.move(user, INBOX, mark(8))
    await within(asyncio.gather(one._write(list(one._unwritten)), two._write(list(two._unwritten))))
    await write(one)
    await write(two)
    assert await stored(edge, user) == mark(8)
    assert (one._unwritten, two._unwritten) == ({}, {})


async def test_marks_that_cannot_be_written_wait(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    user, marks = a_name("alice"), some_marks(edge)
    marks.move(user, INBOX, mark(7))
    with monkeypatch.context() as patch:

        async def away(*_: object, **__: object) -> None:
            raise BusUnavailable("no connection to NATS")

        patch.setattr(marks._bucket, "get", away)
        await write(marks)
    assert await marks.read(user, INBOX) == mark(7)
    await write(marks)
    assert await stored(edge, user) == mark(7)


async def test_many_marks_are_all_written(edge: Edge) -> None:
    marks = some_marks(edge)
    users = [a_name("alice") for _ in range(3 * readmarks.WRITTEN_AT_ONCE + 1)]
    for user in users:
        marks.move(user, INBOX, mark(1))
    await write(marks)
    assert marks.writes == len(users)
    assert marks._unwritten == {}


async def test_the_first_mark_is_written_at_once_and_later_ones_wait_for_their_turn(edge: Edge) -> None:
    user, marks = a_name("alice"), some_marks(edge)
    running = asyncio.create_task(marks.run())
    marks.move(user, INBOX, mark(1))
    await eventually(lambda: marks.writes == 1)
    marks.move(user, INBOX, mark(2))
    marks.move(user, INBOX, mark(3))
    await asyncio.sleep(0)
    assert marks.writes == 1
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await within(running)
    assert await stored(edge, user) == mark(3), "what waits is written at the end"


async def test_what_another_pod_heard_is_forgotten_in_time_by_a_pod_that_slept(
    edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readmarks, "TURN_S", 0.01)
    monkeypatch.setattr(readmarks, "HEARD_S", 0.02)
    marks = some_marks(edge)
    running = asyncio.create_task(marks.run())
    await asyncio.sleep(0)
    assert not marks._awaits_turn, "who knows of no mark takes no turns"
    marks.hear("alice", INBOX, mark(1))
    assert marks._awaits_turn
    await eventually(lambda: not marks._awaits_turn)
    running.cancel()
    await asyncio.wait([running])


async def test_a_device_without_a_position_starts_behind_what_another_one_acknowledged(
    neighbours: Neighbours,
) -> None:
    user = a_name("alice")
    offsets = await neighbours.publish(f"user:{user}", "one", "two", "three")
    async with an_edge(neighbours) as edge:
        phone = await edge.session(user)
        await phone.ask("ack", channel="inbox", offset=offsets[1])
    async with an_edge(neighbours) as edge:
        laptop = await edge.socket()
        connected = await laptop.ask("connect", token=neighbours.token(user))
        inbox = connected["channels"]["inbox"]
        assert (inbox["offset"], [each["data"] for each in inbox["publications"]]) == (offsets[1], ["three"])


async def test_who_never_acknowledged_gets_everything_that_is_retained(neighbours: Neighbours) -> None:
    user = a_name("alice")
    await neighbours.publish(f"user:{user}", *range(5))
    async with an_edge(neighbours) as edge:
        connected = await (await edge.socket()).ask("connect", token=neighbours.token(user))
        inbox = connected["channels"]["inbox"]
        assert (inbox["offset"], [each["data"] for each in inbox["publications"]]) == (0, [0, 1, 2, 3, 4])
        assert "recovered" not in inbox


async def test_a_mark_beyond_the_end_of_the_channel_hides_nothing_that_comes(edge: Edge) -> None:
    """Somebody acknowledged, over HTTP and another pod, what does not exist."""
    user = a_name("alice")
    inbox = Channel("user", user)
    [offset] = await edge.neighbours.publish(str(inbox), "one")
    epoch = edge.pod.requests._bus.streams.epoch(inbox)
    marks = some_marks(edge)
    marks.move(user, inbox, mark(2**53 - 1, epoch))
    await write(marks)
    alice = await edge.socket()
    connected = await alice.ask("connect", token=edge.neighbours.token(user))
    assert connected["channels"]["inbox"]["offset"] == offset
    await edge.neighbours.publish(str(inbox), "two")
    assert await alice.data(1) == ["two"]


async def test_a_key_of_the_bucket_is_one_subject_whatever_the_user_is_called() -> None:
    assert subjects.readmark_key("a.b>", INBOX).count(".") == 2
