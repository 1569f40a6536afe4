"""A thousand clients that hold a socket and never finish a sentence."""

import asyncio
import contextlib
import gc
import socket
from collections.abc import AsyncIterator

import pytest

from tests.edge.edges import Edge, an_edge, eventually
from tests.edge.neighbours import Neighbours, a_name
from tests.edge.peers import commands, poll, post_stream, upgrade
from tests.support.waiting import DEADLINE_S
from whimbrel.runtime.metrics import resident_bytes

pytestmark = pytest.mark.asyncio(loop_scope="module")
SOCKETS = 1000
TERM_S = 3.0
NOTICED_S = 1.0  # by who waits for a publication
MEBIBYTE = 1024 * 1024


def beginnings(token: str) -> list[bytes]:
    """Return the ways to begin and not to end, in the order of how far they get."""
    history = commands(token, {"type": "history", "id": 1, "channel": "inbox"})
    return [
        b"",
        b"GET /v1/ws HTTP/1.1\r\nHost: edge\r\nCookie: ",
        poll(token, {"inbox": None})[:-1],
        post_stream(token)[:-1],
        history[: history.index(b"\r\n\r\n") + 2],
        history[:-1],
        history.replace(b"Content-Length", b"Transfer-Encoding: chunked\r\nX-Length")[:-1] + b"5\r\n",
        upgrade(),
    ]


@contextlib.asynccontextmanager
async def the_slow(edge: Edge, token: str) -> AsyncIterator[list[socket.socket]]:
    """Connect them all, each at its beginning; some send a byte now and then for as long as the block lasts. The pod's
    clock stands still meanwhile: however busy the machine is, all are there at once.
    """
    loop, pod = asyncio.get_running_loop(), edge.pod
    began = pod.now()
    pod.now = lambda: began
    slow: list[socket.socket] = []
    for number in range(SOCKETS):
        plain = socket.socket()
        plain.setblocking(False)
        await loop.sock_connect(plain, ("127.0.0.1", edge.port))
        await loop.sock_sendall(plain, beginnings(token)[number % len(beginnings(token))])
        slow.append(plain)
    await eventually(lambda: pod.sockets >= SOCKETS * 3 / 4)  # one of the eight beginnings is answered at once
    behind = loop.time() - began
    pod.now = lambda: loop.time() - behind

    async def drip() -> None:
        while True:
            for plain in slow[::5]:
                with contextlib.suppress(OSError):  # cut already
                    plain.send(b"x")
            await asyncio.sleep(TERM_S / 8)

    dripping = asyncio.create_task(drip())
    try:
        yield slow
    finally:
        dripping.cancel()
        for plain in slow:
            plain.close()


async def test_a_thousand_slow_senders_are_cut_in_time_and_nobody_else_notices(neighbours: Neighbours) -> None:
    terms = {"request_timeout_s": TERM_S, "connect_timeout_s": TERM_S, "address_connects_per_s": 10_000}
    async with an_edge(neighbours, **terms) as edge:
        loop = asyncio.get_running_loop()
        order, token = f"orders:{a_name('o')}", neighbours.token(a_name("mallory"))
        alice = await edge.session(a_name("alice"), order)
        delays: list[float] = []

        async def read() -> None:
            while True:
                [sent_at] = await alice.data(1)
                delays.append(loop.time() - sent_at)

        reading = asyncio.create_task(read())
        sizes: list[int] = []
        for _ in range(2):
            gc.collect()
            before = resident_bytes()
            async with the_slow(edge, token):
                came = loop.time()
                await neighbours.publish(order, loop.time())
                sizes.append(resident_bytes() - before)
                bob = await edge.session(a_name("bob"), order)
                while edge.pod.sockets > 2:
                    await neighbours.publish(order, loop.time())
                    await asyncio.sleep(0.02)  # the pace of a busy channel
                    assert loop.time() - came < DEADLINE_S, f"{edge.pod.sockets} sockets are still there"
                await bob.close()
                await eventually(lambda: edge.pod.sockets == 1)
        reading.cancel()
        assert len(delays) > 20
        assert sum(delay > NOTICED_S for delay in delays) < len(delays) / 4
        assert sizes[0] < 64 * MEBIBYTE, "the client's half included"
        assert sizes[1] < sizes[0] / 2 + 8 * MEBIBYTE, "what was cut is used again"
