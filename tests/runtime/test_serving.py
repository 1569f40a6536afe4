"""The listening socket, and who is let in by it."""

import asyncio
import socket
from collections.abc import Callable

from fastapi import FastAPI

from tests.support.waiting import Collected, within
from whimbrel.runtime.http import bind, serve
from whimbrel.runtime.serving import ACCEPTED_PER_TURN


class Visitor(asyncio.Protocol):
    """Notes that it came."""

    def __init__(self, came: Collected[asyncio.BaseTransport]) -> None:
        self._came = came

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count it."""
        self._came.append(transport)


def noting(came: Collected[asyncio.BaseTransport]) -> Callable[..., asyncio.Protocol]:
    """Return what makes a protocol for each connection."""
    return lambda **_: Visitor(came)


async def test_of_those_who_come_together_several_are_accepted_in_a_turn_of_the_loop() -> None:
    came = Collected[asyncio.BaseTransport]()
    stop = asyncio.Event()
    listener = bind("127.0.0.1", 0)
    port = listener.getsockname()[1]
    serving = asyncio.create_task(serve(FastAPI(), listener, http=noting(came), stop=stop))
    first = await asyncio.to_thread(socket.create_connection, ("127.0.0.1", port))
    await came.until(1)
    together = [socket.create_connection(("127.0.0.1", port)) for _ in range(ACCEPTED_PER_TURN)]
    await asyncio.sleep(0)  # what the turn before has left
    await asyncio.sleep(0)
    accepted = len(came.items) - 1
    for each in (first, *together):
        each.close()
    for transport in came.items:
        transport.close()
    stop.set()
    await within(serving)
    assert accepted == ACCEPTED_PER_TURN
