"""TLS on the edge itself: clients that are not of our making, and certificates renewed under open connections."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.client import connect

from tests.edge.edges import Edge, an_edge, eventually
from tests.edge.neighbours import Neighbours, a_name
from tests.edge.pairs import Pair
from tests.edge.peers import SUBPROTOCOL, Wire, poll, request, upgrade
from tests.edge.test_slow_sockets import a_stuck_reader, read_on
from tests.support.waiting import within

pytestmark = pytest.mark.asyncio(loop_scope="module")


@asynccontextmanager
async def a_secure_edge(neighbours: Neighbours, pair: Pair, **changes: object) -> AsyncIterator[Edge]:
    async with an_edge(neighbours, tls_certificate=pair.chain, tls_key=pair.key, **changes) as edge:
        edge.tls = pair.trusted()
        yield edge


def serial_of(wire: Wire) -> int:
    found = wire.writer.get_extra_info("ssl_object").getpeercert()
    return int(found["serialNumber"], 16)


async def test_a_client_of_another_make_speaks_wss(neighbours: Neighbours, pair: Pair) -> None:
    async with a_secure_edge(neighbours, pair) as edge:
        order, token = f"orders:{a_name('o')}", neighbours.token(a_name("alice"))
        url = f"wss://localhost:{edge.port}/v1/ws"
        async with connect(url, ssl=edge.tls, subprotocols=[SUBPROTOCOL]) as socket:  # type: ignore[list-item]
            await socket.send(json.dumps({"type": "connect", "id": 1, "token": token, "channels": {order: None}}))
            assert json.loads(await within(socket.recv()))["type"] == "connected"
            await neighbours.publish(order, "secret")
            assert json.loads(await within(socket.recv()))["data"] == "secret"
        await eventually(lambda: edge.nothing_left)


async def test_polls_commands_and_upgrades_share_a_secure_connection(neighbours: Neighbours, pair: Pair) -> None:
    async with a_secure_edge(neighbours, pair) as edge:
        token = neighbours.token(a_name("alice"))
        wire = await edge.wire()
        wire.send(poll(token, {"inbox": None}))
        assert (await wire.answer()).status == 200
        wire.send(request("GET", "/v1/transports", authorization=f"Bearer {token}"))
        assert (await wire.answer()).status == 200
        wire.send(upgrade())
        assert (await wire.answer()).status == 101
        await wire.close()
        assert (await edge.ask(request("GET", "/v1/poll"))).status == 401, "a refusal, which closes"
        await eventually(lambda: edge.nothing_left)


async def test_a_stuck_reader_catches_up_behind_tls_too(neighbours: Neighbours, pair: Pair) -> None:
    async with a_secure_edge(neighbours, pair, outbox_bytes=64 * 1024) as edge:
        order = f"orders:{a_name('o')}"
        slow = await a_stuck_reader(edge, order)
        published = 0
        while not edge.pod.counters.fell_behind:
            await neighbours.publish(order, [published, "x" * 4096])
            published += 1
        read_on(slow)
        assert [data[0] for data in await slow.data(published)] == list(range(published))
        await eventually(lambda: not edge.pod.slow)


# Renewal


async def test_a_renewed_certificate_is_for_new_handshakes_and_old_connections_live(
    neighbours: Neighbours, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("whimbrel.edge.shell.certificate.LOOK_S", 0.02)
    async with a_secure_edge(neighbours, pair) as edge:
        before = edge.tls
        old = await edge.session(a_name("alice"))
        first = serial_of(old.wire)
        second = pair.issue(days=30)
        edge.tls = pair.trusted()
        metrics = edge.service.metrics
        await eventually(lambda: b'tls_loads_total{outcome="loaded"} 1' in metrics.exposition())
        new = await edge.session(a_name("bob"))
        assert serial_of(new.wire) == second != first
        assert (await old.ask("subscribe", channel=f"orders:{a_name('o')}"))["type"] == "subscribed"
        edge.tls = before
        with pytest.raises(ssl.SSLCertVerificationError):
            await edge.wire()


# Who does not come to the point


async def test_who_does_not_shake_hands_in_time_is_cut(neighbours: Neighbours, pair: Pair) -> None:
    async with a_secure_edge(neighbours, pair, request_timeout_s=0.2) as edge:
        for begun in (b"", b"\x16\x03\x01\x02\x00\x01"):
            plain = await Wire.open(edge.port)
            plain.send(begun)
            assert await within(plain.ended()) == b""
            await plain.close()
        secure = await edge.wire()
        assert await within(secure.ended()) == b"", "the time for a request begins behind the handshake"
        await secure.close()


async def test_who_speaks_http_to_a_tls_port_disturbs_nobody(neighbours: Neighbours, pair: Pair) -> None:
    async with a_secure_edge(neighbours, pair) as edge:
        plain = await Wire.open(edge.port)
        plain.send(request("GET", "/v1/transports"))
        assert b"HTTP" not in await within(plain.ended())
        await plain.close()
        await asyncio.sleep(0)
        assert (await edge.ask(request("GET", "/v1/transports"))).status == 401
