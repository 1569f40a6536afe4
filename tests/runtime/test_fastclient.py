"""Each override of nats-py, against a real server; read this before changing the pin of nats-py."""

import asyncio
import importlib.metadata
from collections.abc import Iterator
from itertools import cycle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nats.aio.subscription import Subscription

from tests.runtime.conftest import Connect
from tests.support.nats import NatsServer
from tests.support.waiting import Collected, within
from whimbrel.runtime import fastclient, jetstream, nats
from whimbrel.runtime.errors import BusUnavailable
from whimbrel.runtime.nats import Delivery
from whimbrel.runtime.subscriptions import Registry
from whimbrel.runtime.transport import FastProtocol, FastReader, FastTransport


def ours() -> Iterator[bytes]:
    """Messages to our own subscriptions, which end in every way a message can."""
    yield b"MSG ours.0 1 2\r\no0\r\n"
    yield b"MSG ours.1 2 reply.x 6\r\no\r\n1\r\n\r\n"
    yield b"HMSG ours.2 3 20 23\r\nNATS/1.0\r\na: bcd\r\n\r\no22\r\n"
    yield b"HMSG ours.2 3 reply 12 14\r\nNATS/1.0\r\n\r\nop\r\n"


def theirs() -> Iterator[bytes]:
    """Messages to a subscription of nats-py's."""
    yield b"MSG theirs 9 3\r\nt00\r\n"
    yield b"HMSG theirs 9 r 20 21\r\nNATS/1.0\r\na: bcd\r\n\r\nt\r\n"


def payload(message: bytes) -> bytes:
    line, _, rest = message.partition(b"\r\n")
    words = line.split()
    if words[0] == b"HMSG":
        return rest[int(words[-2]) : int(words[-1])]
    return rest[: int(words[-1])] if words[0] == b"MSG" else b""


def test_the_overrides_are_written_for_the_nats_py_that_is_installed() -> None:
    assert importlib.metadata.version("nats-py").startswith(fastclient.SUPPORTED_NATS_PY)


async def test_a_message_is_delivered_as_it_is_read_by_no_task_with_raw_headers(connect: Connect) -> None:
    connection = await connect()
    heard: list[Delivery] = []
    tasks: list[asyncio.Task[object] | None] = []

    def deliver(delivery: Delivery) -> None:
        heard.append(delivery)
        tasks.append(asyncio.current_task())

    connection.attach("ctl.a", deliver)
    await connection.publish("ctl.a", b"hello", headers={"traceparent": "00-x"}, reply="ctl.b")
    await connection.flush()
    assert [(d.subject, d.reply, d.payload, d.headers) for d in heard] == [
        ("ctl.a", "ctl.b", b"hello", b"NATS/1.0\r\ntraceparent: 00-x\r\n\r\n")
    ]
    assert tasks == [None]


async def test_a_message_without_headers_has_none(connect: Connect) -> None:
    connection = await connect()
    heard: list[Delivery] = []
    connection.attach("ctl.a", heard.append)
    await connection.publish("ctl.a", b"")
    await connection.flush()
    assert [d.headers for d in heard] == [None]


async def test_nats_py_and_our_own_subscriptions_share_a_client_and_never_a_sid(connect: Connect) -> None:
    connection = await connect()
    await jetstream.declare(connection, partitions=8, replicas=1)
    ours: list[str] = []
    theirs: Collected[str] = Collected()  # nats-py delivers in tasks of its own
    for number in range(3):
        connection.attach(f"ctl.ours.{number}", lambda delivery: ours.append(delivery.subject))

        async def callback(message: object) -> None:
            theirs.append(message.subject)  # type: ignore[attr-defined]

        await connection.client.subscribe(f"ctl.theirs.{number}", cb=callback)
    sids = [*connection._registry.by_sid, *connection.client._subs]
    assert len(sids) == len(set(sids))
    for number in range(3):
        await connection.publish(f"ctl.ours.{number}", b"")
        await connection.publish(f"ctl.theirs.{number}", b"")
    await connection.flush()
    assert ours == ["ctl.ours.0", "ctl.ours.1", "ctl.ours.2"]
    assert await theirs.until(3) == ["ctl.theirs.0", "ctl.theirs.1", "ctl.theirs.2"]


async def test_jetstream_consumers_of_nats_py_work_on_the_same_client(connect: Connect) -> None:
    connection = await connect()
    await jetstream.declare(connection, partitions=8, replicas=1)
    for number in range(20):
        await jetstream.publish(connection, "dlq.notifier", b"%d" % number)
    consumer = await connection.jetstream.pull_subscribe("dlq.>", durable="reader", stream="DLQ")
    heard: list[Delivery] = []
    connection.attach("ctl.a", heard.append)
    await connection.publish("ctl.a", b"")
    messages = await consumer.fetch(20, timeout=5)
    for message in messages:
        await message.ack()
    assert [message.data for message in messages] == [b"%d" % number for number in range(20)]
    assert len(heard) == 1


@given(
    st.lists(st.sampled_from([*ours(), *theirs(), b"PING\r\n", b"PONG\r\n", b"+OK\r\n"]), max_size=40),
    st.lists(st.integers(1, 60), min_size=1),
)
async def test_however_the_bytes_arrive_each_message_is_delivered_once_and_in_order(
    messages: list[bytes], sizes: list[int]
) -> None:
    heard: list[Delivery] = []
    registry = Registry(lambda where, error: pytest.fail(f"{where}: {error}"))
    for number in range(3):
        registry.attach(f"ours.{number}", "", heard.append)
    client = fastclient.FastClient(registry)
    client._status = client.CONNECTED
    client._flush_queue = asyncio.Queue()
    client._flusher_task = asyncio.current_task()  # anything that is not done
    client._subs[9] = read_by_tasks = Subscription(client, 9, "theirs")
    client._transport = transport = FastTransport()  # type: ignore[no-untyped-call]
    transport.reader = FastReader()
    transport.reader.take = client.take
    protocol = FastProtocol(transport.reader, asyncio.get_running_loop())
    stream = b"".join(messages)
    at = 0
    for size in cycle(sizes):
        if at >= len(stream):
            break
        protocol.data_received(stream[at : at + size])
        at += size
        while transport.reader.buffered:
            await client._ps.parse(await transport.reader.read(7))
    assert [d.payload for d in heard] == [message for message in map(payload, messages) if message[:1] == b"o"]
    queue = read_by_tasks._pending_queue
    delivered = [queue.get_nowait().data for _ in range(queue.qsize())]
    assert delivered == [message for message in map(payload, messages) if message[:1] == b"t"]
    assert [command for command in client._pending if command == b"PONG\r\n"] == [
        b"PONG\r\n" for message in messages if message == b"PING\r\n"
    ]


@pytest.mark.parametrize(
    "broken",
    [
        b"MSG ours.0 1 -31\r\n",
        b"HMSG ours.0 1 -40 2\r\nab\r\n",
        b"HMSG ours.0 1 3 2\r\nab\r\n",
        b"MSG ours.0 1 two\r\nab\r\n",
        b"MSG ours.0 one 2\r\nab\r\n",
        b"MSG ours.\xff 1 2\r\nab\r\n",
    ],
)
def test_what_is_not_the_protocol_is_left_to_nats_py_and_nothing_before_it_comes_twice(broken: bytes) -> None:
    heard: list[bytes] = []
    registry = Registry(lambda *_: pytest.fail("nothing raises"))
    registry.attach("ours.0", "", lambda delivery: heard.append(delivery.payload))
    client = fastclient.FastClient(registry)
    client._status = client.CONNECTED
    assert client.take(b"MSG ours.0 1 2\r\nok\r\n" + broken) == broken
    assert heard == [b"ok"]


async def test_the_end_of_a_read_is_told_after_all_that_it_held(connect: Connect) -> None:
    connection = await connect()
    log: list[str] = []
    connection.attach("ctl.a", lambda delivery: log.append(delivery.payload.decode()))
    await connection.flush()
    ended = asyncio.Event()

    def read_end() -> None:
        log.append("|")
        ended.set()

    connection.on_read_end = read_end
    for number in range(5):
        connection.send("ctl.a", b"%d" % number)
    await within(ended.wait())
    assert log == ["0", "1", "2", "3", "4", "|"]


async def test_a_callback_that_raises_is_counted_and_the_next_message_follows(connect: Connect) -> None:
    connection = await connect()
    heard: list[bytes] = []

    def deliver(delivery: Delivery) -> None:
        heard.append(delivery.payload)
        if delivery.payload == b"bad":
            raise ValueError("of the test")

    connection.attach("ctl.a", deliver)
    connection.on_read_end = lambda: 1 // 0  # type: ignore[assignment]
    for payload in (b"good", b"bad", b"good"):
        await connection.publish("ctl.a", payload)
    await connection.flush()
    connection.on_read_end = None
    assert heard == [b"good", b"bad", b"good"]
    assert connection.faults >= 2


async def test_a_flush_proves_that_the_server_took_what_was_sent_before(connect: Connect) -> None:
    publisher, subscriber = await connect(), await connect()
    heard: list[bytes] = []
    subscriber.attach("ctl.a", lambda delivery: heard.append(delivery.payload))
    await subscriber.flush()
    publisher.send("ctl.a", b"first")
    await publisher.client.publish("ctl.a", b"second")  # waits in nats-py's own buffer
    await publisher.flush()
    await subscriber.flush()
    assert sorted(heard) == [b"first", b"second"]


async def test_what_is_sent_along_goes_with_the_next_write_and_in_order(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fastclient, "ALONG_S", 3600.0)
    connection = await connect()
    heard: list[bytes] = []
    connection.attach("ctl.a", lambda delivery: heard.append(delivery.payload))
    await connection.flush()
    connection.send_along("ctl.a", b"1")
    connection.send_along("ctl.a", b"2")
    await asyncio.sleep(0)
    assert connection.client.pending_data_size > 0
    connection.send("ctl.a", b"3")
    await asyncio.sleep(0)
    assert connection.client.pending_data_size == 0
    await connection.flush()
    assert heard == [b"1", b"2", b"3"]


async def test_what_is_sent_along_does_not_wait_for_ever(connect: Connect) -> None:
    connection = await connect()
    heard: Collected[bytes] = Collected()
    connection.attach("ctl.a", lambda delivery: heard.append(delivery.payload))
    connection.send_along("ctl.a", b"1")
    assert await heard.until(1) == [b"1"]
    connection.send_along("ctl.a", b"2")
    assert await heard.until(2) == [b"1", b"2"]


async def test_the_server_is_pinged_on_whole_beats_and_given_up_when_two_are_not_answered(
    connect: Connect, server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    beats: Collected[float] = Collected()
    gone = asyncio.Event()

    def until_beat(interval: float, *, now: float) -> float:
        beats.append(interval)
        return 0.1  # two of them are more than any answer takes

    monkeypatch.setattr(fastclient, "until_beat", until_beat)
    connection = await connect()
    connection.on_disconnected.append(gone.set)
    assert set(await beats.until(4)) == {nats.PING_INTERVAL_S}
    assert connection.connected, "answered in time"
    server.pause()
    await within(gone.wait())
    back = asyncio.Event()
    connection.on_connected.append(back.set)
    server.resume()
    await within(back.wait())  # a socket that is just being opened would outlive the test


async def test_a_flush_that_timed_out_does_not_end_the_read_loop(connect: Connect, server: NatsServer) -> None:
    connection = await connect()
    server.pause()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await connection.flush()
    server.resume()
    await within(connection.flush())
    assert connection.connects == 1


async def test_a_read_loop_that_dies_is_replaced(connect: Connect) -> None:
    connection = await connect()
    again = asyncio.Event()
    connection.on_connected.append(again.set)
    heard: list[bytes] = []
    connection.attach("ctl.a", lambda delivery: heard.append(delivery.payload))
    await connection.flush()

    async def parse(data: bytes) -> None:
        del connection.client._ps.parse
        raise LookupError("of the test")

    connection.client._ps.parse = parse  # type: ignore[assignment]
    connection.client.write(b"PING\r\n")  # its answer is for nats-py to read
    await within(again.wait())
    await connection.publish("ctl.a", b"heard")
    await connection.flush()
    assert heard == [b"heard"]


async def test_a_reconnect_that_dies_gives_the_client_up(connect: Connect, server: NatsServer) -> None:
    connection = await connect()
    again = asyncio.Event()
    connection.on_connected.append(again.set)

    async def select_next_server() -> None:
        raise LookupError("of the test")

    connection.client._select_next_server = select_next_server  # type: ignore[method-assign]
    server.restart()
    await within(again.wait())
    assert connection.rebuilds == 1


async def test_publishing_to_a_server_that_takes_nothing_is_refused_before_memory_runs_out(
    connect: Connect, server: NatsServer
) -> None:
    connection = await connect()
    server.pause()

    async def publish_without_end() -> None:
        while True:
            connection.send("ctl.a", bytes(64 * 1024))
            await asyncio.sleep(0)

    with pytest.raises(BusUnavailable):
        await within(publish_without_end())
    sent = connection.client._unwritten
    assert fastclient.MAX_UNWRITTEN_BYTES // 2 < sent <= fastclient.MAX_UNWRITTEN_BYTES + 128 * 1024
    heard: Collected[Delivery] = Collected()
    connection.attach("ctl.b", heard.append)  # interest is never refused
    server.resume()
    await within(connection.flush())
    await connection.publish("ctl.b", b"")
    await heard.until(1)
