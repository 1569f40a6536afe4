"""Who reads slowly falls back to history: bounded memory, nothing lost, and the end only for who takes nothing."""

import asyncio
import socket
import threading
from typing import Any, cast

import pytest
import pytest_asyncio

from tests.edge.edges import Edge, an_edge, eventually
from tests.edge.neighbours import Neighbours, a_name
from tests.edge.peers import Peer, message, upgrade
from tests.edge.people import a_publication, alice
from whimbrel.edge.core.effects import Identified
from whimbrel.edge.core.states import State
from whimbrel.edge.core.subscription import PART_BYTES
from whimbrel.edge.shell import fanout
from whimbrel.edge.shell.websocket import WebSocket
from whimbrel.protocol.channels import Channel

pytestmark = pytest.mark.asyncio(loop_scope="module")
OUTBOX = 64 * 1024
PAGE = "x" * 4096


async def a_stuck_reader(edge: Edge, *channels: str) -> Peer:
    """Return a session that reads nothing from now on, through small buffers of the kernel."""
    peer = await edge.session(a_name("slow"), *channels, receive_buffer=4096)
    peer.wire.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a ReadTransport too
    return peer


def read_on(peer: Peer) -> None:
    peer.wire.writer.transport.resume_reading()  # type: ignore[attr-defined]


async def test_a_stuck_reader_falls_behind_then_gets_all_that_it_missed_in_order(neighbours: Neighbours) -> None:
    async with an_edge(neighbours, outbox_bytes=OUTBOX, ping_s=1) as edge:
        order, other = f"orders:{a_name('o')}", f"orders:{a_name('o')}"
        slow = await a_stuck_reader(edge, order, other)
        quick = await edge.session(a_name("quick"), order)
        published = 0
        while not edge.pod.counters.fell_behind:
            await neighbours.publish(order, [published, PAGE])
            published += 1
            assert (await quick.data(1))[0][0] == published - 1
        await neighbours.publish(other, "meanwhile")
        for _ in range(50):
            await neighbours.publish(order, [published, PAGE])
            published += 1
        assert await quick.data(50)
        read_on(slow)
        received: dict[str, list[Any]] = {order: [], other: []}
        while len(received[order]) < published or not received[other]:
            frame = await slow.until(lambda frame: frame["type"] == "publication")
            received[frame["channel"]].append(frame)
        assert [frame["data"][0] for frame in received[order]] == list(range(published))
        assert [frame["data"] for frame in received[other]] == ["meanwhile"]
        previous = 0
        for frame in received[order]:
            assert frame["prev"] <= previous < frame["offset"] or previous == 0
            previous = frame["offset"]
        await neighbours.publish(order, ["live again"])
        assert await slow.data(1) == [["live again"]]


async def test_who_takes_nothing_for_too_long_is_closed_and_leaves_nothing(neighbours: Neighbours) -> None:
    async with an_edge(neighbours, outbox_bytes=OUTBOX, stuck_s=0.3, ping_s=0.4, pong_s=20) as edge:
        order = f"orders:{a_name('o')}"
        await a_stuck_reader(edge, order)
        while not edge.pod.counters.fell_behind:
            await neighbours.publish(order, PAGE)
        await eventually(lambda: edge.pod.counters.closed["slow_consumer"])
        await eventually(lambda: edge.nothing_left)


async def test_who_reads_no_answers_is_asked_nothing_more(neighbours: Neighbours) -> None:
    async with an_edge(neighbours, outbox_bytes=OUTBOX) as edge:
        order = f"orders:{a_name('o')}"
        await neighbours.publish(order, *[PAGE] * 20)
        slow = await a_stuck_reader(edge, order)
        [socket] = cast("list[WebSocket]", list(edge.pod.connections))
        asked = range(2, 30)
        for number in asked:
            slow.say({"type": "history", "id": number, "channel": order})
        await eventually(lambda: socket.transport.get_write_buffer_size() > OUTBOX)
        slow.say({"type": "history", "id": 30, "channel": order})
        await eventually(lambda: not socket.transport.is_reading())
        read_on(slow)
        answered = {(await slow.hear())["id"] for _ in (*asked, 30)}
        assert answered == {*asked, 30}, "once it reads, it gets every answer"


async def test_a_channel_opened_by_a_slow_socket_waits_for_it_too(neighbours: Neighbours) -> None:
    async with an_edge(neighbours, outbox_bytes=OUTBOX, ping_s=1) as edge:
        order, late = f"orders:{a_name('o')}", f"orders:{a_name('o')}"
        slow = await a_stuck_reader(edge, order)
        while not edge.pod.counters.fell_behind:
            await neighbours.publish(order, PAGE)
        [socket] = cast("list[WebSocket]", list(edge.pod.connections))
        slow.say({"type": "subscribe", "id": 9, "channel": late})
        await eventually(lambda: socket._behind is not None and late in socket._behind)
        await neighbours.publish(late, "one", "two")
        read_on(slow)
        await slow.until(lambda frame: frame.get("id") == 9)
        found: list[Any] = []
        while len(found) < 2:
            frame = await slow.until(lambda frame: frame["type"] == "publication")
            found += [frame["data"]] * (frame["channel"] == late)
        assert found == ["one", "two"]


# The same socket with a transport of the test's own


class Pipe:
    """A transport whose kernel takes what the test says."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.unsent = 0
        self.aborted = False
        self.reading = True
        self.chokes: WebSocket | None = None  # with the next write

    def write(self, data: bytes) -> None:
        self.written.append(data)
        choked, self.chokes = self.chokes, None
        if choked is not None:
            self.fill(choked, len(data))

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def get_extra_info(self, name: str) -> None:
        """Return nothing: it is a socket without TLS."""

    def set_write_buffer_limits(self, high: int) -> None:
        assert high == 0

    def abort(self) -> None:
        self.aborted = True

    def fill(self, socket: WebSocket, unsent: int) -> None:
        """Let the kernel take nothing more."""
        self.unsent = unsent
        socket.pause_writing()

    def drain(self, socket: WebSocket) -> None:
        """Let it take everything."""
        self.unsent = 0
        socket.resume_writing()

    def resume_reading(self) -> None:
        self.reading = True


@pytest_asyncio.fixture(loop_scope="module")
async def pipe_and_socket(edge: Edge) -> tuple[Pipe, WebSocket]:
    """A connected socket on a pipe, subscribed to the user's inbox."""
    pipe = Pipe()
    edge.pod.sockets += 1
    socket = WebSocket(edge.pod, cast(asyncio.Transport, pipe), None)
    socket.session.present(Identified(alice(expires=2**40)._replace(user=a_name("alice")), None))
    socket.data_received(message({"type": "connect", "id": 1}))
    await eventually(lambda: pipe.written)
    return pipe, socket


async def test_a_slow_socket_that_takes_a_little_is_not_given_up(
    edge: Edge, pipe_and_socket: tuple[Pipe, WebSocket]
) -> None:
    pipe, socket = pipe_and_socket
    limit, stuck = edge.pod.settings.outbox_bytes, edge.pod.settings.stuck_s
    pipe.fill(socket, limit)
    socket.check_outbox(now=100, elapsed=1)
    assert edge.pod.counters.fell_behind == 0, "up to the watermark everything is written live"
    pipe.unsent = limit + 1
    socket.check_outbox(now=100, elapsed=1)
    assert edge.pod.counters.fell_behind == 1
    for look in range(1, 6):
        pipe.unsent -= 10
        socket.check_outbox(now=100 + look * stuck, elapsed=stuck - 1)
    socket.check_outbox(now=300, elapsed=stuck - 1)
    assert not pipe.aborted
    socket.check_outbox(now=301, elapsed=1)
    assert pipe.aborted
    assert b"slow_consumer" in b"".join(pipe.written)
    socket.connection_lost(None)


async def test_a_fault_in_the_look_at_a_slow_socket_costs_that_one_and_not_the_time_of_all(
    edge: Edge, pipe_and_socket: tuple[Pipe, WebSocket], monkeypatch: pytest.MonkeyPatch
) -> None:
    def check_outbox(socket: WebSocket, *, now: float, elapsed: float) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(WebSocket, "check_outbox", check_outbox)
    pipe, socket = pipe_and_socket
    pipe.fill(socket, 1)
    for _ in range(2):  # the wheel turns on
        await eventually(lambda: pipe.aborted)
        pipe.aborted = False
    socket.connection_lost(None)


async def test_a_slow_socket_is_watched_by_its_outbox_and_not_by_its_heartbeat(
    edge: Edge, pipe_and_socket: tuple[Pipe, WebSocket]
) -> None:
    pipe, socket = pipe_and_socket
    now, terms = edge.pod.now(), edge.pod.terms
    socket.tick(now=now + terms.ping + 1)
    assert b"ping" in pipe.written[-1]
    pipe.fill(socket, 1000)
    socket.tick(now=now + terms.ping + terms.pong + 2)
    assert b"no_pong" not in b"".join(pipe.written)
    pipe.drain(socket)
    socket.tick(now=now + 2 * (terms.ping + terms.pong) + 4)
    socket.tick(now=now + 3 * (terms.ping + terms.pong) + 6)
    assert b"no_pong" in b"".join(pipe.written)
    socket.connection_lost(None)


async def test_a_socket_does_not_fall_behind_in_the_middle_of_a_read_of_the_bus(
    edge: Edge, pipe_and_socket: tuple[Pipe, WebSocket]
) -> None:
    pipe, socket = pipe_and_socket
    assert socket.session.identity is not None
    inbox = edge.pod.hub.channels[Channel("user", socket.session.identity.user)]
    edge.pod.hub.mark(inbox)  # accepted, not yet flushed
    pipe.fill(socket, 10**9)
    socket.check_outbox(now=100, elapsed=0)
    assert edge.pod.counters.fell_behind == 0
    edge.pod.hub.dirty.clear()
    socket.check_outbox(now=101, elapsed=0)
    assert edge.pod.counters.fell_behind == 1
    socket.connection_lost(None)


async def test_a_catch_up_does_not_overtake_the_fan_out_that_was_under_way_as_the_socket_fell_behind(
    edge: Edge, pipe_and_socket: tuple[Pipe, WebSocket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fanout, "SLICE", 1)
    pipe, socket = pipe_and_socket
    order = f"orders:{a_name('o')}"
    for _ in range(2):
        await edge.session(a_name("quick"), order)  # whose slices come first
    socket.data_received(message({"type": "subscribe", "id": 10, "channel": order}))
    await eventually(lambda: socket.session.subscriptions.is_open(order, Channel.parse(order)))
    live = edge.pod.hub.channels[Channel.parse(order)]
    assert live.ring is not None
    before = live.ring.head
    pipe.written.clear()

    def publish(offset: int) -> None:
        live.accept(a_publication(offset, offset - 1))
        edge.pod.hub.mark(live)
        edge.pod.openings._bus._fanout.flush()

    publish(before + 1)
    pipe.fill(socket, edge.pod.settings.outbox_bytes + 1)
    socket.check_outbox(now=100, elapsed=0)
    publish(before + 2)
    pipe.drain(socket)
    await eventually(lambda: len(pipe.written) == 2)
    assert [b'"offset":%d,' % (before + number) in pipe.written[number - 1] for number in (1, 2)] == [True, True]
    socket.connection_lost(None)


async def test_a_catch_up_that_fills_the_socket_again_goes_on_after_the_next_drain(
    edge: Edge, pipe_and_socket: tuple[Pipe, WebSocket]
) -> None:
    pipe, socket = pipe_and_socket
    first, second = f"orders:{a_name('o')}", f"orders:{a_name('o')}"
    for number, order in enumerate((first, second)):
        socket.data_received(message({"type": "subscribe", "id": 10 + number, "channel": order}))
        await eventually(lambda: socket.session.subscriptions.is_open(order, Channel.parse(order)))  # noqa: B023
    pipe.fill(socket, edge.pod.settings.outbox_bytes + 1)
    socket.check_outbox(now=100, elapsed=0)
    await edge.neighbours.publish(first, "one")
    await edge.neighbours.publish(second, "two")
    await eventually(lambda: all(edge.pod.hub.channels[Channel.parse(each)].newest for each in (first, second)))
    pipe.written.clear()
    pipe.chokes = socket
    pipe.drain(socket)
    await eventually(lambda: edge.pod.counters.fell_behind == 2)
    await eventually(lambda: not edge.pod.errands)
    assert b"two" not in b"".join(pipe.written)
    pipe.drain(socket)
    await eventually(lambda: b"two" in b"".join(pipe.written))
    await eventually(lambda: socket._behind is None and not edge.pod.errands)
    await edge.neighbours.publish(first, "three")
    await eventually(lambda: b"three" in b"".join(pipe.written))
    written = b"".join(pipe.written)
    assert [written.count(b'"%b"' % each) for each in (b"one", b"two", b"three")] == [1, 1, 1]
    socket.connection_lost(None)


async def test_a_catch_up_holds_no_more_than_one_part_in_memory(
    edge: Edge, pipe_and_socket: tuple[Pipe, WebSocket]
) -> None:
    pipe, socket = pipe_and_socket
    order = f"orders:{a_name('o')}"
    socket.data_received(message({"type": "subscribe", "id": 10, "channel": order}))
    await eventually(lambda: socket.session.subscriptions.is_open(order, Channel.parse(order)))
    pipe.fill(socket, edge.pod.settings.outbox_bytes + 1)
    socket.check_outbox(now=100, elapsed=0)
    page = "x" * 8 * 1024
    offsets = await edge.neighbours.publish(order, *[[number, page] for number in range(24)])
    await eventually(lambda: edge.pod.hub.channels[Channel.parse(order)].newest == offsets[-1])
    written: list[bytes] = []
    while socket._behind is not None:
        pipe.written.clear()
        pipe.chokes = socket
        pipe.drain(socket)
        await eventually(lambda: pipe.written and not edge.pod.errands)
        assert sum(map(len, pipe.written)) < PART_BYTES + len(page) + 1000
        written += pipe.written
    sent = b"".join(written)
    assert [sent.count(b'"data":[%d,' % number) for number in range(24)] == [1] * 24
    await edge.neighbours.publish(order, "live again")
    await eventually(lambda: b"live again" in pipe.written[-1])
    socket.connection_lost(None)


async def test_a_loop_that_was_held_up_hears_its_clients_before_it_judges_them(neighbours: Neighbours) -> None:
    def answer_pings(port: int, token: str, ended: threading.Event) -> None:
        with socket.create_connection(("127.0.0.1", port)) as plain:
            plain.sendall(upgrade() + message({"type": "connect", "id": 1, "token": token}))
            while data := plain.recv(65_536):
                if b'"ping"' in data:
                    plain.sendall(message({"type": "pong"}))
        ended.set()

    async with an_edge(neighbours, ping_s=0.2, pong_s=0.2) as edge:
        ended = threading.Event()
        client = threading.Thread(target=answer_pings, args=(edge.port, neighbours.token(a_name("alice")), ended))
        client.start()
        await eventually(lambda: edge.pod.counters.open["websocket"])
        [connection] = cast("list[WebSocket]", list(edge.pod.connections))
        await eventually(lambda: connection.session.state is State.OPEN)
        connection.session.alive(now=edge.pod.now() - 1)
        connection.tick(now=edge.pod.now())  # a ping goes out, and its answer comes while nobody listens
        threading.Event().wait(timeout=1)  # the loop is held up
        await eventually(lambda: not connection.session._pinged)
        assert connection.session.closed_with is None
        assert not ended.is_set()
        await edge.forget_clients()
        client.join()


async def test_what_the_kernel_holds_of_a_socket_is_bounded_by_its_setting(neighbours: Neighbours) -> None:
    async with an_edge(neighbours, send_buffer_bytes=32 * 1024) as edge:
        await edge.session(a_name("alice"))
        [connection] = cast("list[WebSocket]", list(edge.pod.connections))
        accepted = connection.transport.get_extra_info("socket")
        assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == 2 * 32 * 1024, "Linux doubles it"
