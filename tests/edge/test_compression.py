"""Compression end to end, with clients that are not of our making."""

import asyncio
import json
import zlib
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.protocol import State

from tests.edge.edges import Edge, an_edge, eventually
from tests.edge.neighbours import Neighbours, a_name
from tests.edge.peers import SUBPROTOCOL, TEXT, masked
from tests.support.waiting import within

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def compressing(neighbours: Neighbours) -> AsyncIterator[Edge]:
    async with an_edge(neighbours, compression="deflate") as edge:
        yield edge


async def connected(edge: Edge, channel: str, *, compression: str | None = "deflate") -> ClientConnection:
    token = edge.neighbours.token(a_name("alice"))
    socket = await connect(
        f"ws://127.0.0.1:{edge.port}/v1/ws",
        subprotocols=[SUBPROTOCOL],  # type: ignore[list-item]
        compression=compression,
    )
    await socket.send(json.dumps({"type": "connect", "id": 1, "token": token, "channels": {channel: None}}))
    assert json.loads(await within(socket.recv()))["type"] == "connected"
    return socket


async def test_those_who_agreed_and_those_who_did_not_hear_the_same(compressing: Edge) -> None:
    order = f"orders:{a_name('o')}"
    sockets = await asyncio.gather(
        connected(compressing, order), connected(compressing, order), connected(compressing, order, compression=None)
    )
    assert [bool(socket.protocol.extensions) for socket in sockets] == [True, True, False]
    deflater = compressing.pod.deflater
    assert deflater is not None
    before = deflater.sizes["plain",]
    data = ["the same words again and again"] * 40
    await compressing.neighbours.publish(order, data)
    for socket in sockets:
        assert json.loads(await within(socket.recv()))["data"] == data
    once = len(json.dumps(data))
    assert once < deflater.sizes["plain",] - before < 1.5 * once, "compressed once for both who agreed"
    for socket in sockets:
        assert socket.state is State.OPEN
        await socket.close()


async def test_an_edge_that_was_not_told_to_compresses_nothing(edge: Edge) -> None:
    socket = await connected(edge, f"orders:{a_name('o')}")
    assert socket.protocol.extensions == []
    await socket.close()


async def test_a_bomb_closes_its_sender_with_4504(compressing: Edge) -> None:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = (deflate.compress(b"\0" * 16 * 1024 * 1024) + deflate.flush(zlib.Z_SYNC_FLUSH))[:-4]
    socket = await connected(compressing, f"orders:{a_name('o')}")
    socket.transport.write(masked(bomb, TEXT | 0x40))
    assert json.loads(await within(socket.recv()))["slug"] == "frame_too_large"
    with pytest.raises(ConnectionClosed):
        await within(socket.recv())
    assert socket.close_code == 4504
    await eventually(lambda: compressing.nothing_left)
