"""The load side counts right, or no figure of the benchmark is worth anything."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from bench.baseline import Baseline
from bench.load import Load
from bench.program import Broken
from bench.publications import TIME, datum
from bench.trial import connect_frame
from tests.support.waiting import Collected, within
from whimbrel.protocol.publications import encode_body, publication_frame

GREETING = b'{"type":"connected"}'
UPGRADED = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"


def framed(text: bytes) -> bytes:
    """Return a text frame of a server."""
    size = len(text).to_bytes(1, "big") if len(text) < 126 else b"\x7e" + len(text).to_bytes(2, "big")
    return b"\x81" + size + text


def published(*numbers: int, series: int = 0) -> bytes:
    """Return one frame with publications of these numbers, sent long ago."""
    return framed(b"[%b]" % b",".join(b'{"type":"publication","data":%b}' % datum(series, each, 1) for each in numbers))


class Server:
    """Answers the upgrade and the first frame, then writes what a test says."""

    def __init__(self) -> None:
        self.heard: Collected[bytes] = Collected()
        self.greeting = framed(GREETING)
        self.clients: list[asyncio.StreamWriter] = []

    async def start(self, ending: AsyncExitStack) -> int:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        ending.callback(server.close)
        port: int = server.sockets[0].getsockname()[1]
        return port

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(UPGRADED)
        self.heard.append(await reader.read(65536))
        writer.write(self.greeting)
        self.clients.append(writer)
        while heard := await reader.read(65536):
            self.heard.append(heard)
        writer.close()


@pytest.fixture
async def server(ending: AsyncExitStack, load: Load) -> Server:
    one = Server()
    await load.open(await one.start(ending), [connect_frame("a token", {})])
    return one


async def test_every_client_gets_every_broadcast_once(load: Load, baseline: Baseline, token: str) -> None:
    await load.open(baseline.port, [connect_frame(token, {})], count=20)
    await within(baseline.broadcast(200, 5))
    counts = await load.publications(100, patience_s=10)
    assert (counts.publications, counts.missing, counts.repeated, counts.lost) == (100, 0, 0, 0)
    assert 0 < counts.p50_us <= counts.p99_us <= counts.longest_us * 1.04


async def test_unicasts_go_to_the_clients_in_turn(load: Load, baseline: Baseline, token: str) -> None:
    await load.open(baseline.port, [connect_frame(token, {})], count=4)
    await within(baseline.unicast(500, 12))
    counts = await load.publications(12, patience_s=10)
    assert (counts.publications, counts.missing, counts.repeated) == (12, 0, 0)


async def test_who_comes_finds_what_was_missed_each_time(load: Load, baseline: Baseline, token: str) -> None:
    for _ in range(2):
        await baseline.missed(30)
        await load.open(baseline.port, [connect_frame(token, {})], count=3)
        counts = await load.publications(90, patience_s=10)
        assert (counts.publications, counts.missing, counts.repeated) == (90, 0, 0)


async def test_a_poll_is_repeated_until_it_has_everything(load: Load, baseline: Baseline, token: str) -> None:
    await load.open(baseline.port, [f'{token}\t{{"orders:bench":null}}'], count=3, transport="poll")
    await within(baseline.broadcast(50, 1))
    await load.publications(3, patience_s=10)
    await within(baseline.broadcast(50, 1))
    counts = await load.publications(6, patience_s=10)
    assert (counts.publications, counts.missing, counts.repeated) == (6, 0, 0)


async def test_all_servers_write_frames_of_the_same_size(load: Load, baseline: Baseline, token: str) -> None:
    await load.open(baseline.port, [connect_frame(token, {})])
    await load.reset()
    await within(baseline.broadcast(50, 1))
    counts = await load.publications(1, patience_s=10)
    now = asyncio.get_running_loop().time()
    body = encode_body("bench.tick", "0" * 24, TIME, datum(0, 0, int(now * 1e9)))
    assert counts.bytes == len(publication_frame(b"orders:bench", body, 1, 0))


@pytest.mark.parametrize(
    ("frames", "missing", "repeated"),
    [
        ([published(0), published(1), published(2)], 0, 0),
        ([published(0, 1, 2)], 0, 0),
        ([published(5), published(6), published(7)], 0, 0),
        ([published(0), published(2, 4)], 2, 0),
        ([published(0), published(0, 1)], 0, 1),
        ([published(0, series=1), published(0, series=2), published(1, series=1)], 0, 0),
    ],
    ids=["in order", "joined", "from any start", "holes", "twice", "series apart"],
)
async def test_holes_and_repetitions_are_counted(
    load: Load, server: Server, frames: list[bytes], missing: int, repeated: int
) -> None:
    server.clients[0].write(b"".join(frames))
    counts = await load.publications(3, patience_s=10)
    assert (counts.publications, counts.missing, counts.repeated) == (3, missing, repeated)


async def test_a_frame_may_come_in_pieces(load: Load, server: Server) -> None:
    frame = published(0, 1)
    for at in range(len(frame)):
        server.clients[0].write(frame[at : at + 1])
        await server.clients[0].drain()
    assert (await load.publications(2, patience_s=10)).publications == 2


async def test_numbers_go_on_where_they_were_after_a_cut(load: Load, ending: AsyncExitStack) -> None:
    server = Server()
    server.greeting += published(0)
    port = await server.start(ending)
    await load.open(port, [connect_frame("a token", {})])
    await load.publications(1, patience_s=10)
    await load.cut()
    server.greeting = framed(GREETING) + published(3)
    await load.open(port, [connect_frame("a token", {})])
    counts = await load.publications(1, patience_s=10)
    assert counts.missing == 2


async def test_a_ping_is_answered(load: Load, server: Server) -> None:
    server.clients[0].write(framed(b'{"type":"ping"}'))
    await server.heard.until(2)
    assert server.heard.items[1].endswith(b'{"type":"pong"}')


async def test_a_lost_client_is_counted(load: Load, server: Server) -> None:
    server.clients[0].close()
    counts = await load.publications(1, patience_s=0.05)
    assert counts.lost == 1


async def test_a_refused_client_breaks_the_run(load: Load, ending: AsyncExitStack) -> None:
    server = Server()
    server.greeting = framed(b'{"type":"disconnect","code":4501,"slug":"unauthorized"}')
    with pytest.raises(Broken, match="unauthorized"):
        await load.open(await server.start(ending), [connect_frame("a token", {})])


async def test_greetings_come_back_as_they_were(load: Load, server: Server) -> None:
    assert await load.greetings() == [{"type": "connected"}]
