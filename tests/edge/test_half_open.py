"""Clients that vanish without a word: packets are lost, and nothing tells the edge."""

import asyncio
from collections.abc import Iterator

import pytest

from tests.edge.edges import Edge, an_edge, eventually
from tests.edge.neighbours import Neighbours, a_name
from tests.edge.peers import Peer, Wire, get_stream, upgrade
from tests.support.netns import Island, island
from tests.support.waiting import within

pytestmark = pytest.mark.asyncio(loop_scope="module")
PING_S, PONG_S = 0.4, 0.4
GRAIN_S = 0.1  # of the wheel: a quarter of the shortest term
SLACK_S = 1.5  # of a machine that does other things as well


@pytest.fixture
def lost() -> Iterator[Island]:
    with island() as made:
        yield made


async def wire_from(island: Island, edge: Edge) -> Wire:
    plain = island.socket()
    plain.setblocking(False)
    await within(asyncio.get_running_loop().sock_connect(plain, (island.host, edge.port)))
    reader, writer = await asyncio.open_connection(sock=plain)
    wire = Wire(reader, writer)
    edge._wires.append(wire)
    return wire


async def seconds_until_gone(edge: Edge, carrier: str) -> float:
    loop = asyncio.get_running_loop()
    began = loop.time()
    await eventually(lambda: edge.pod.counters.open[carrier] == 0)
    return loop.time() - began


async def test_a_half_open_websocket_is_gone_within_ping_and_pong(neighbours: Neighbours, lost: Island) -> None:
    async with an_edge(neighbours, host="0.0.0.0", ping_s=PING_S, pong_s=PONG_S) as edge:
        wire = await wire_from(lost, edge)
        wire.send(upgrade())
        assert (await wire.answer()).status == 101
        alice = Peer(wire)
        assert (await alice.ask("connect", token=neighbours.token(a_name("alice"))))["type"] == "connected"
        await alice.until(lambda frame: frame["type"] == "ping")
        alice.say({"type": "pong"})
        await alice.until(lambda frame: frame["type"] == "ping")
        alice.say({"type": "pong"})
        lost.lose_everything()
        gone_s = await seconds_until_gone(edge, "websocket")
        assert gone_s <= PING_S + PONG_S + 3 * GRAIN_S + SLACK_S
        assert edge.pod.counters.closed["no_pong"] == 1
        await eventually(lambda: edge.nothing_left)


async def test_a_half_open_event_stream_is_gone_within_ping_and_pong(neighbours: Neighbours, lost: Island) -> None:
    async with an_edge(neighbours, host="0.0.0.0", ping_s=PING_S, pong_s=PONG_S) as edge:
        wire = await wire_from(lost, edge)
        wire.send(get_stream(neighbours.token(a_name("alice"))))
        await within(wire.reader.readuntil(b"event: connected"))
        for _ in range(2):
            await within(wire.reader.readuntil(b"\n:\n\n"))  # a heartbeat, which the island's kernel acknowledges
        lost.lose_everything()
        gone_s = await seconds_until_gone(edge, "sse")
        assert gone_s <= PING_S + PONG_S + 3 * GRAIN_S + SLACK_S
        assert edge.pod.counters.closed["no_pong"] == 1
        await eventually(lambda: edge.nothing_left)
