"""A bad network for tests: what each condition does to what passes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress

import httpx
import pytest

from tests.support.dev import Development
from tests.support.waiting import DEADLINE_S, Collected, within
from whimbrel.cli.chaos import ChaosProxy, Network
from whimbrel.cli.chaos.link import Passage
from whimbrel.client import Client, Publication, Timing

UPGRADE = b"GET /v1/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
PLAIN = b"GET /v1/poll HTTP/1.1\r\nHost: x\r\n\r\n"
NOTHING_S = 0.1  # long enough to see that nothing comes


class Echo:
    """An edge that switches protocols and echoes, or answers in two parts, the second when it is told to."""

    def __init__(self) -> None:
        self.heads: list[bytes] = []
        self.go_on = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heads.append(await reader.readuntil(b"\r\n\r\n"))
        if b"Upgrade: websocket" in self.heads[-1]:
            writer.write(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
            with suppress(ConnectionError):
                while data := await reader.read(1000):
                    writer.write(data)
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\none,")
            await self.go_on.wait()
            writer.write(b"two")
        writer.close()


class Peer:
    """A client of the proxy, byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def exchange(self, message: bytes) -> bytes:
        self.writer.write(message)
        return await within(self.reader.readexactly(len(message)))

    async def hears_nothing(self) -> bool:
        try:
            async with asyncio.timeout(NOTHING_S):
                return await self.reader.read(1) == b""
        except TimeoutError:
            return True

    async def ended(self) -> bytes:
        try:
            return await within(self.reader.read())
        except ConnectionResetError:
            return b"reset"


class World:
    def __init__(self, echo: Echo, proxy: ChaosProxy, ends: Collected[Passage]) -> None:
        self.echo, self.proxy, self.ends = echo, proxy, ends
        self.peers: list[Peer] = []

    async def send(self, head: bytes) -> Peer:
        host, port = self.proxy.url.removeprefix("http://").split(":")
        peer = Peer(*await asyncio.open_connection(host, int(port)))
        self.peers.append(peer)
        peer.writer.write(head)
        return peer

    async def websocket(self) -> Peer:
        peer = await self.send(UPGRADE)
        assert b"101" in await within(peer.reader.readuntil(b"\r\n\r\n"))
        return peer

    async def verdicts(self, count: int = 1) -> list[str]:
        return [passage.verdict for passage in await self.ends.until(count)]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    complaints: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(str(context["message"])))
    echo = Echo()
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    ends: Collected[Passage] = Collected()
    async with ChaosProxy(f"http://127.0.0.1:{port}", seed=1, on_end=ends.append) as proxy:
        one = World(echo, proxy, ends)
        yield one
        echo.go_on.set()
        for peer in one.peers:
            peer.writer.close()
    server.close()
    await asyncio.sleep(0)
    assert complaints == []


async def test_a_good_network_passes_everything_on_and_tells_of_it(world: World) -> None:
    socket = await world.websocket()
    assert await socket.exchange(b"hello") == b"hello"
    socket.writer.close()
    [passage] = await world.ends.until(1)
    assert (passage.request, passage.status, passage.verdict) == ("GET /v1/ws", "101", "done")
    assert passage.up_bytes == 5


async def test_a_websocket_is_refused(world: World) -> None:
    world.proxy.network = Network(upgrade="refuse")
    assert (await (await world.send(UPGRADE)).ended()).startswith(b"HTTP/1.1 403 ")
    assert (await world.verdicts(), world.echo.heads) == (["refused"], [])


async def test_a_proxy_that_knows_no_websocket_makes_a_plain_request_of_it(world: World) -> None:
    world.proxy.network = Network(upgrade="strip")
    world.echo.go_on.set()
    assert (await (await world.send(UPGRADE)).ended()).startswith(b"HTTP/1.1 200 ")
    assert b"pgrade" not in world.echo.heads[0]


async def test_an_upgrade_is_never_answered(world: World) -> None:
    world.proxy.network = Network(upgrade="hang")
    peer = await world.send(UPGRADE)
    assert await peer.hears_nothing()
    peer.writer.close()
    assert await world.verdicts() == ["hung"]


async def test_a_new_connection_is_reset(world: World) -> None:
    world.proxy.network = Network(refusing=True)
    peer = await world.send(UPGRADE)
    assert await peer.ended() == b"reset"
    assert await world.verdicts() == ["refused"]


async def test_leaving_ends_what_is_open_without_a_complaint(world: World) -> None:
    async with ChaosProxy(world.proxy.edge, network=Network(upgrade="mute"), on_end=world.ends.append) as proxy:
        host, port = proxy.url.removeprefix("http://").split(":")
        peer = Peer(*await asyncio.open_connection(host, int(port)))
        world.peers.append(peer)
        peer.writer.write(UPGRADE)
        await within(peer.reader.readuntil(b"\r\n\r\n"))
    assert await world.verdicts() == ["cut"]
    assert await peer.ended() == b"reset"


async def test_leaving_waits_for_nobody_who_comes_in_that_moment(world: World) -> None:
    came = asyncio.Event()

    class Visited(ChaosProxy):
        def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            came.set()  # so that who waits for it has the next turn, before the visitor
            super()._accept(reader, writer)

    async with asyncio.timeout(DEADLINE_S), Visited(world.proxy.edge) as proxy:
        host, port = proxy.url.removeprefix("http://").split(":")
        coming = asyncio.create_task(asyncio.open_connection(host, int(port)))
        await came.wait()
    peer = Peer(*await coming)
    world.peers.append(peer)
    assert await peer.ended() == b"reset"


async def test_nothing_follows_a_101(world: World) -> None:
    world.proxy.network = Network(upgrade="mute")
    peer = await world.websocket()
    peer.writer.write(b"hello?")
    assert await peer.hears_nothing()


async def test_a_silent_network_keeps_what_is_sent_and_tells_nobody_of_an_end(world: World) -> None:
    peer, other = await world.websocket(), await world.websocket()
    world.proxy.network = Network(silent=True)
    peer.writer.write(b"hello?")
    other.writer.close()
    assert await peer.hears_nothing()
    assert world.ends.items == []
    world.proxy.network = Network()
    assert await within(peer.reader.readexactly(6)) == b"hello?"
    assert await world.verdicts() == ["done"]


async def test_a_delay_holds_both_ways_and_keeps_the_order(world: World) -> None:
    peer = await world.websocket()
    world.proxy.network = Network(delay_ms=60)
    sent_at = asyncio.get_running_loop().time()
    for number in b"123":
        peer.writer.write(bytes([number]))
        await asyncio.sleep(0)
    assert await within(peer.reader.readexactly(3)) == b"123"
    assert asyncio.get_running_loop().time() - sent_at >= 0.12


async def test_connections_are_reset_at_an_age_when_idle_and_on_demand(world: World) -> None:
    peers = [await world.websocket() for _ in range(3)]
    world.proxy.cut()
    assert [await peer.ended() for peer in peers] == [b"reset"] * 3
    for network in (Network(lifetime_ms=20), Network(idle_ms=20)):
        peer = await world.websocket()
        world.proxy.network = network
        assert await peer.ended() == b"reset"
        world.proxy.network = Network()
    assert await world.verdicts(5) == ["cut", "cut", "cut", "old", "idle"]


async def test_traffic_keeps_a_connection_from_being_idle(world: World) -> None:
    world.proxy.network = Network(idle_ms=10_000)
    peer = await world.websocket()
    world.proxy.network = Network(idle_ms=9_000)
    assert await peer.exchange(b"still here") == b"still here"


async def test_a_buffering_proxy_holds_a_response_back_until_it_is_complete(world: World) -> None:
    world.proxy.network = Network(buffering=True)
    peer = await world.send(PLAIN)
    assert await peer.hears_nothing()
    world.echo.go_on.set()
    assert (await peer.ended()).endswith(b"\r\n\r\none,two")


async def test_a_share_of_the_connections_is_hit_and_the_others_are_fine(world: World) -> None:
    world.proxy.network = Network(refusing=True, share=0.5)
    world.echo.go_on.set()
    ends = [await (await world.send(PLAIN)).ended() for _ in range(20)]
    assert 4 <= ends.count(b"reset") <= 16
    assert all(end.endswith(b"one,two") for end in ends if end != b"reset")


async def test_the_edge_that_is_away_is_told_of(world: World) -> None:
    async with ChaosProxy("http://127.0.0.1:1") as proxy, httpx.AsyncClient(trust_env=False) as http:
        answer = await http.get(f"{proxy.url}/v1/poll")
    assert answer.status_code == 502
    assert "no edge at http://127.0.0.1:1" in answer.json()["error"]


async def test_the_network_is_set_while_it_runs(world: World) -> None:
    socket = await world.websocket()
    async with httpx.AsyncClient(trust_env=False, base_url=world.proxy.url) as http:
        answer = (await http.put("/-/chaos", json={"delay_ms": 5, "upgrade": "mute"})).json()
        assert (answer["network"]["delay_ms"], answer["connections"]) == (5, 1)
        assert world.proxy.network == Network(delay_ms=5, upgrade="mute")
        await http.post("/-/chaos/cut")
        assert await socket.ended() == b"reset"
        assert (await http.get("/-/chaos")).json()["connections"] == 0
        for body, said in (({"delay": 5}, "delay"), ({"upgrade": "maybe"}, "upgrade"), ({"share": 2}, "share")):
            refused = await http.put("/-/chaos", json=body)
            assert refused.status_code == 400
            assert said in refused.json()["error"]
        assert "PUT /-/chaos" in (await http.delete("/-/chaos")).json()["error"]
    assert world.proxy.network == Network(delay_ms=5, upgrade="mute")


async def test_a_client_gets_what_is_published_over_each_of_these_networks(development: Development) -> None:
    token = development.token("alice")
    networks = [Network(upgrade="refuse"), Network(upgrade="strip"), Network(upgrade="hang"), Network(upgrade="mute")]
    async with AsyncExitStack() as stack:
        subscriptions = []
        for network in networks:
            proxy = await stack.enter_async_context(ChaosProxy(development.edge, network=network))
            timing = Timing(open_s=1.0, connect_s=1.0)
            client = await stack.enter_async_context(Client(proxy.url, token=token, timing=timing))
            subscriptions.append(await stack.enter_async_context(client.subscribe("orders:chaos")))
            await within(client.connected())
        event = ("publish", "events.shop.chaos.1", "--type", "t", "--channels", "orders:chaos", "--data", '"hello"')
        await asyncio.to_thread(development.whimbrel, *event)
        for subscription in subscriptions:
            publication = await within(anext(aiter(subscription)))
            assert isinstance(publication, Publication)
            assert publication.data == "hello"


def test_a_condition_that_cannot_be_meant_is_said_so(development: Development) -> None:
    refused = development.whimbrel("chaos-proxy", "--share", "2", check=False)
    assert refused.returncode == 2
    assert "--share 2" in refused.stderr
