"""Writes past the transports: the same bytes in the same order, and never to somebody else."""

import asyncio
import os
import socket
import threading
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import cast

import pytest
import pytest_asyncio

from tests.edge.edges import eventually
from whimbrel.edge.core.hub import Hub, Write
from whimbrel.edge.shell import direct
from whimbrel.edge.shell.direct import DirectWrites

MORE_THAN_THE_KERNEL_TAKES = b"x" * 8_000_000


class Member(asyncio.Protocol):
    """The server's side of a socket, which counts changes as a connection does."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=0)

    def pause_writing(self) -> None:
        self.hub.changes += 1
        self.paused = True

    def resume_writing(self) -> None:
        self.hub.changes += 1
        self.paused = False

    def connection_lost(self, error: Exception | None) -> None:
        self.hub.changes += 1


class Pairs:
    """Sockets with both of their ends: transports here, plain non-blocking sockets there."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.members: list[Member] = []
        self.ends: list[socket.socket] = []

    async def add(self) -> tuple[Member, socket.socket]:
        """Connect another one."""
        loop = asyncio.get_running_loop()
        listener = socket.create_server(("127.0.0.1", 0))
        end = socket.create_connection(listener.getsockname())
        accepted, _ = listener.accept()
        listener.close()
        end.setblocking(False)
        _, member = await loop.create_connection(lambda: Member(self.hub), sock=accepted)
        self.members.append(member)
        self.ends.append(end)
        return member, end

    @property
    def audience(self) -> tuple[Write, ...]:
        return tuple(member.transport.write for member in self.members)


@pytest_asyncio.fixture
async def pairs() -> AsyncIterator[Pairs]:
    pairs = Pairs(Hub())
    for _ in range(3):
        await pairs.add()
    yield pairs
    for member, end in zip(pairs.members, pairs.ends, strict=True):
        end.close()
        member.transport.abort()
    await asyncio.sleep(0)


async def received(end: socket.socket, size: int) -> bytes:
    """Return what came to ``end``: ``size`` bytes, or what came until it was closed."""
    loop, data = asyncio.get_running_loop(), bytearray()
    while len(data) < size and (part := await loop.sock_recv(end, 1 << 20)):
        data += part
    return bytes(data)


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The descriptors that were written to past a transport."""
    seen: list[int] = []

    def write(descriptor: int, data: bytes) -> int:
        seen.append(descriptor)
        return os.write(descriptor, data)

    monkeypatch.setattr(direct, "os", SimpleNamespace(write=write, sched_getaffinity=os.sched_getaffinity))
    return seen


async def test_everybody_from_one_to_the_other_gets_the_message_without_its_transport(
    pairs: Pairs, written: list[int]
) -> None:
    writes = DirectWrites(pairs.hub)
    writes.write(pairs.audience, b"one", 0, 2)
    writes.write(pairs.audience, b"two", 1, 3)
    assert len(written) == 4
    assert await received(pairs.ends[0], 3) == b"one"
    assert await received(pairs.ends[1], 6) == b"onetwo"
    assert await received(pairs.ends[2], 3) == b"two"


async def test_what_a_full_socket_does_not_take_comes_in_order_behind_what_waits(
    pairs: Pairs, written: list[int]
) -> None:
    writes, audience = DirectWrites(pairs.hub), pairs.audience
    writes.write(audience[:1], MORE_THAN_THE_KERNEL_TAKES, 0, 1)
    assert pairs.members[0].paused
    written.clear()
    for message in (b"second", b"third"):
        writes.write(audience, message, 0, 3)
    assert len(written) == 4, "nothing overtakes what waits in the transport of the first"
    everything = MORE_THAN_THE_KERNEL_TAKES + b"secondthird"
    assert await received(pairs.ends[0], len(everything)) == everything
    await eventually(lambda: not pairs.members[0].paused)
    written.clear()
    writes.write(audience, b"fourth", 0, 3)
    assert len(written) == 3, "it has drained"
    assert await received(pairs.ends[0], 6) == b"fourth"


async def test_a_descriptor_that_another_client_was_given_is_not_written_to(pairs: Pairs) -> None:
    writes, audience = DirectWrites(pairs.hub), pairs.audience
    writes.write(audience, b"before", 0, 3)
    gone = pairs.members[1].transport.get_extra_info("socket").fileno()
    changes = pairs.hub.changes
    pairs.members[1].transport.abort()
    await eventually(lambda: pairs.hub.changes > changes)
    newcomers = [await pairs.add() for _ in range(3)]  # one of both ends of them has that descriptor
    descriptors = [member.transport.get_extra_info("socket").fileno() for member, _ in newcomers]
    assert gone in (*descriptors, *(end.fileno() for _, end in newcomers))
    writes.write(audience, b"after", 0, 3)  # as a slice of a fan-out that had begun before
    assert await received(pairs.ends[0], 11) == b"beforeafter"
    assert await received(pairs.ends[2], 11) == b"beforeafter"
    for member, end in newcomers:
        member.transport.write(b"own")
        member.transport.close()
        assert await received(end, 100) == b"own"


async def test_what_is_no_bare_socket_is_written_by_its_own_way(pairs: Pairs, written: list[int]) -> None:
    heard: list[bytes] = []
    DirectWrites(pairs.hub).write((*pairs.audience, heard.append), b"x", 0, 4)
    assert len(written) == 3
    assert heard == [b"x"]


async def test_a_socket_whose_client_has_gone_costs_the_others_nothing(pairs: Pairs) -> None:
    pairs.ends[0].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # it ends with a reset
    pairs.ends[0].close()
    writes = DirectWrites(pairs.hub)
    for _ in range(2):
        writes.write(pairs.audience, b"x", 0, 3)
    assert await received(pairs.ends[1], 2) == b"xx"
    assert await received(pairs.ends[2], 2) == b"xx"
    await eventually(lambda: pairs.members[0].transport.is_closing())


async def test_two_threads_share_a_large_audience(pairs: Pairs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(direct, "SHARED", 2)
    threads, both = set[int](), threading.Barrier(2, timeout=10)

    def write(descriptor: int, data: bytes) -> int:
        if threading.get_ident() not in threads:
            threads.add(threading.get_ident())
            both.wait()  # until the other one has a socket too
        return os.write(descriptor, data)

    monkeypatch.setattr(direct, "os", SimpleNamespace(write=write, sched_getaffinity=lambda _: {0, 1}))
    heard: list[tuple[bytes, int]] = []
    audience = (*pairs.audience, lambda data: heard.append((data, threading.get_ident())))
    DirectWrites(pairs.hub).write(audience, MORE_THAN_THE_KERNEL_TAKES, 0, 4)
    assert len(threads) == 2
    assert heard == [(MORE_THAN_THE_KERNEL_TAKES, threading.get_ident())], (
        "the loop's own thread calls what is the loop's"
    )
    got = await asyncio.gather(*(received(end, len(MORE_THAN_THE_KERNEL_TAKES)) for end in pairs.ends))
    assert all(each == MORE_THAN_THE_KERNEL_TAKES for each in got), "everybody has all of it, once"


async def test_few_audiences_are_remembered(pairs: Pairs) -> None:
    writes = DirectWrites(pairs.hub)
    for _ in range(5 * direct.KNOWN):
        writes.write(pairs.audience, b"x", 0, 3)
    assert len(writes._known) <= direct.KNOWN + 1
