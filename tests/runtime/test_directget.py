"""What direct gets answer, case by case: the proof of recovery rests on it, so the server is held to it here."""

import asyncio
import json

import pytest

from tests.runtime.conftest import Connect
from tests.support.nats import PARTITIONS, NatsServer
from tests.support.waiting import within
from whimbrel.runtime import jetstream
from whimbrel.runtime.delivery import Delivery
from whimbrel.runtime.directget import DirectGet, Stored
from whimbrel.runtime.errors import BusUnavailable, JetStreamRefused, NoResponders, RequestTimeout
from whimbrel.runtime.nats import Connection

STREAM = "HISTORY_6"
X, Y, Z, NONE = "c.6.o.x", "c.6.o.y", "c.6.o.z", "c.6.o.none"


@pytest.fixture
async def writer(connect: Connect) -> Connection:
    router, notifier = await connect(), await connect("notifier")
    await jetstream.declare(router, partitions=PARTITIONS, replicas=1)
    return notifier


@pytest.fixture
async def router(connect: Connect) -> Connection:
    return await connect()


@pytest.fixture
async def reads(connect: Connect) -> DirectGet:
    return DirectGet(await connect("edge"))


async def fill(writer: Connection, rounds: int = 5) -> None:
    """Publish x y z x y z … : x has 1 4 7 10 13, y 2 5 8 11 14, z 3 6 9 12 15."""
    for number in range(rounds):
        for subject in (X, Y, Z):
            await jetstream.publish(writer, subject, b"%d" % number)


def seqs(messages: dict[str, Stored]) -> dict[str, int]:
    return {subject: message.seq for subject, message in messages.items()}


async def test_lasts_come_with_the_streams_end_at_the_same_instant(writer: Connection, reads: DirectGet) -> None:
    await fill(writer)
    lasts = await reads.multi_last(STREAM, [X, Y, Z])
    assert seqs(lasts.messages) == {X: 13, Y: 14, Z: 15}
    assert lasts.up_to == 15
    assert lasts.messages[X].payload == b"4"
    assert lasts.messages[X].subject == X
    assert lasts.messages[X].time.endswith("Z")


async def test_a_subject_without_a_message_is_missing_and_the_end_is_still_told(
    writer: Connection, reads: DirectGet
) -> None:
    await fill(writer)
    lasts = await reads.multi_last(STREAM, [NONE, X])
    assert (seqs(lasts.messages), lasts.up_to) == ({X: 13}, 15)


async def test_when_no_subject_has_a_message_the_streams_end_is_not_told(writer: Connection, reads: DirectGet) -> None:
    assert await reads.multi_last(STREAM, [X]) == ({}, None)  # an empty stream
    await fill(writer)
    assert await reads.multi_last(STREAM, [NONE]) == ({}, None)


async def test_lasts_up_to_a_sequence_are_those_of_that_instant(writer: Connection, reads: DirectGet) -> None:
    await fill(writer)
    lasts = await reads.multi_last(STREAM, [X, Y, Z], up_to=5)
    assert (seqs(lasts.messages), lasts.up_to) == ({Z: 3, X: 4, Y: 5}, 5)
    assert seqs((await reads.multi_last(STREAM, [X, Y, Z], up_to=2)).messages) == {X: 1, Y: 2}


async def test_up_to_a_sequence_of_the_future_nothing_is_found_at_all(writer: Connection, reads: DirectGet) -> None:
    await fill(writer)
    assert await reads.multi_last(STREAM, [X], up_to=16) == ({}, None)


async def test_lasts_of_a_wildcard(writer: Connection, reads: DirectGet) -> None:
    await fill(writer)
    assert seqs((await reads.multi_last(STREAM, ["c.6.>"])).messages) == {X: 13, Y: 14, Z: 15}


async def test_over_1024_lasts_are_refused_but_not_over_1024_subjects(writer: Connection, reads: DirectGet) -> None:
    subjects = [f"c.6.o.k{number}" for number in range(1025)]
    for reply in [writer.ask(subject, b"") for subject in subjects]:
        await within(reply)
    assert len((await reads.multi_last(STREAM, subjects[:1024])).messages) == 1024
    missing = [f"c.6.o.m{number}" for number in range(1000)]
    assert len((await reads.multi_last(STREAM, [*subjects[:100], *missing])).messages) == 100
    with pytest.raises(JetStreamRefused) as refused:
        await reads.multi_last(STREAM, subjects)
    assert refused.value.code == 413


async def test_lasts_that_exceed_one_answer_are_read_in_several(writer: Connection, reads: DirectGet) -> None:
    subjects = [f"c.6.o.k{number}" for number in range(24)]
    for subject in subjects:
        await jetstream.publish(writer, subject, bytes(250_000))  # 6 MB; an answer holds 4 MiB
    lasts = await reads.multi_last(STREAM, [*subjects, NONE])
    assert (set(lasts.messages), lasts.up_to) == (set(subjects), 24)


async def test_a_batch_begins_with_the_message_at_the_sequence_itself(writer: Connection, reads: DirectGet) -> None:
    await fill(writer)
    batch = await reads.batch(STREAM, X, 4)
    assert ([message.seq for message in batch.messages], batch.pending) == ([4, 7, 10, 13], 0)


async def test_a_batch_from_a_sequence_that_is_not_the_subjects_begins_with_the_next_one(
    writer: Connection, reads: DirectGet
) -> None:
    await fill(writer)
    assert [message.seq for message in (await reads.batch(STREAM, X, 5)).messages] == [7, 10, 13]


async def test_a_batch_tells_how_many_are_left(writer: Connection, reads: DirectGet) -> None:
    await fill(writer)
    batch = await reads.batch(STREAM, X, 5, 2)
    assert ([message.seq for message in batch.messages], batch.pending) == ([7, 10], 1)
    batch = await reads.batch(STREAM, X, 0, 1)
    assert ([message.seq for message in batch.messages], batch.pending) == ([1], 4)


async def test_a_batch_of_nothing_newer_is_empty_wherever_it_begins(writer: Connection, reads: DirectGet) -> None:
    assert await reads.batch(STREAM, X, 1) == ([], 0)  # an empty stream
    await fill(writer)
    for start in (14, 15, 16, 1000):
        assert await reads.batch(STREAM, X, start) == ([], 0)
    assert await reads.batch(STREAM, NONE, 1) == ([], 0)


async def test_a_batch_limited_by_bytes_holds_at_least_one_message(writer: Connection, reads: DirectGet) -> None:
    await fill(writer)
    batch = await reads.batch(STREAM, X, 1, 10, max_bytes=1)
    assert ([message.seq for message in batch.messages], batch.pending) == ([1], 4)


async def test_a_batch_of_the_whole_stream(writer: Connection, reads: DirectGet) -> None:
    await fill(writer)
    batch = await reads.batch(STREAM, None, 14)
    assert [(message.seq, message.subject) for message in batch.messages] == [(14, Y), (15, Z)]


async def test_a_trimmed_history_is_seen_by_the_missing_first_message_only(
    writer: Connection, reads: DirectGet, router: Connection
) -> None:
    await fill(writer)
    await jetstream.request(router, f"STREAM.PURGE.{STREAM}", {"seq": 8})
    batch = await reads.batch(STREAM, X, 4)
    assert [message.seq for message in batch.messages] == [10, 13]
    await jetstream.request(router, f"STREAM.PURGE.{STREAM}")
    assert await reads.batch(STREAM, X, 4) == ([], 0)
    state = (await jetstream.request(router, f"STREAM.INFO.{STREAM}"))["state"]
    assert (state["first_seq"], state["last_seq"]) == (16, 15)  # positions go on


async def test_the_newest_message_of_a_subject_and_of_a_wildcard(writer: Connection, reads: DirectGet) -> None:
    assert await reads.last(STREAM, X) is None
    await fill(writer)
    found = [await reads.last(STREAM, subject) for subject in (X, "c.6.>", NONE)]
    assert [stored and (stored.seq, stored.subject) for stored in found] == [(13, X), (15, Z), None]


async def test_headers_of_a_publisher_cannot_pass_for_the_servers(writer: Connection, reads: DirectGet) -> None:
    forged = {"Nats-Sequence": "999", "Nats-Subject": "c.6.o.forged", "whimbrel-x": "kept"}
    await jetstream.publish(writer, X, b"", forged)
    stored = await reads.last(STREAM, X)
    assert stored is not None
    assert (stored.seq, stored.subject) == (1, X)
    assert b"whimbrel-x: kept" in stored.headers


async def test_a_stream_that_does_not_exist_answers_at_once(reads: DirectGet) -> None:
    with pytest.raises(NoResponders):
        await within(reads.last("HISTORY_99", X), 1)


async def test_the_server_refuses_an_empty_request(router: Connection, writer: Connection) -> None:
    reply = await router.request(f"$JS.API.DIRECT.GET.{STREAM}", b"{}", timeout=5)
    assert reply.status() == 408


async def test_no_more_than_eight_requests_are_in_flight_and_all_are_answered(
    writer: Connection, reads: DirectGet, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(writer)
    connection = reads._connection
    asked: list[str] = []
    most = 0
    send = connection.send

    def counting(subject: str, payload: bytes, *, reply: str = "") -> None:
        nonlocal most
        asked.append(subject)
        most = max(most, len(connection.inbox._open))
        send(subject, payload, reply=reply)

    monkeypatch.setattr(connection, "send", counting)
    batches = await within(asyncio.gather(*(reads.batch(STREAM, X, 1) for _ in range(100))))
    assert len(asked) == 100
    assert 1 < most <= 8
    assert all(len(batch.messages) == 5 for batch in batches)
    await asyncio.sleep(0)
    assert connection.inbox._open == {}


async def test_a_server_that_does_not_answer_costs_the_deadline_and_leaves_nothing_behind(
    writer: Connection, connect: Connect, server: NatsServer
) -> None:
    connection = await connect("edge")
    reads = DirectGet(connection, timeout=0.05)
    server.pause()
    with pytest.raises(RequestTimeout):
        await reads.last(STREAM, X)
    server.resume()
    await asyncio.sleep(0)
    assert connection.inbox._open == {}
    assert await DirectGet(connection).last(STREAM, X) is None


async def test_an_outage_is_told_at_once(writer: Connection, reads: DirectGet, server: NatsServer) -> None:
    await fill(writer)
    down = asyncio.Event()
    reads._connection.on_disconnected.append(down.set)
    server.kill()
    await within(down.wait())
    with pytest.raises(BusUnavailable):
        await reads.last(STREAM, X)


async def test_live_deliveries_on_the_same_connection_are_not_mistaken_for_answers(
    writer: Connection, connect: Connect
) -> None:
    connection = await connect("edge")
    reads = DirectGet(connection)
    heard: list[Delivery] = []
    connection.attach("live.>", heard.append)
    await connection.flush()
    await fill(writer)
    assert len((await reads.batch(STREAM, None, 1)).messages) == 15
    await connection.flush()
    assert [json.loads(d.payload) for d in heard] == [number for number in range(5) for _ in range(3)]
