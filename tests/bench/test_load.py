"""The load side counts right, or no figure of the benchmark is worth anything."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from bench.baseline import Baseline
from bench.load import Load
from bench.program import Broken
from bench.publications import TIME, datum
from bench.trial import connect_frame
from tests.bench.server import GREETING, Server, framed, published
from tests.support.waiting import Collected, within
from whimbrel.protocol.publications import encode_body, publication_frame


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
    server = Server(framed(GREETING) + published(0))
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
    server = Server(framed(b'{"type":"disconnect","code":4501,"slug":"unauthorized"}'))
    with pytest.raises(Broken, match="unauthorized"):
        await load.open(await server.start(ending), [connect_frame("a token", {})])


async def test_greetings_come_back_as_they_were(load: Load, server: Server) -> None:
    assert await load.greetings() == [{"type": "connected"}]


async def test_socket_io_lets_a_client_in_after_its_prelude_and_its_early_publications(
    load: Load, ending: AsyncExitStack
) -> None:
    server = Server(framed(b'0{"sid":"a"}') + published(0, prefix=b'42["publication",') + framed(b'40{"sid":"b"}'))
    counts = await load.open(await server.start(ending), ['{"token":"t"}'], transport="socketio")
    assert (counts.opened, counts.publications) == (1, 1)
    assert server.heard.items[0].endswith(b'40{"token":"t"}')
    assert await load.greetings() == [{"sid": "b"}]
    server.clients[0].write(framed(b"2"))
    await server.heard.until(2)
    assert server.heard.items[1].endswith(b"3")


STREAM = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nretry: 900\n\n"


def event(kind: str, text: bytes) -> bytes:
    return b"id: 2.a.b\nevent: %b\ndata: %b\n\n" % (kind.encode(), text)


async def test_events_are_taken_one_by_one_however_they_come(load: Load, ending: AsyncExitStack) -> None:
    server = Server(event("connected", GREETING), answer=STREAM)
    await load.open(await server.start(ending), [connect_frame("a token", {})], transport="sse")
    assert (server.requests, server.heard.items[0]) == (
        [b"POST /v1/sse HTTP/1.1"],
        connect_frame("a token", {}).encode(),
    )
    assert await load.greetings() == [{"type": "connected"}]
    await load.reset()
    told = b":\n\n" + event("publication", published(0)[2:]) + event("publication", published(2)[2:])
    for at in range(len(told)):
        server.clients[0].write(told[at : at + 1])
        await server.clients[0].drain()
    counts = await load.publications(2, patience_s=10)
    assert (counts.messages, counts.publications, counts.missing, counts.lost) == (2, 2, 1, 0)
    server.clients[0].write(event("disconnect", b'{"type":"disconnect","slug":"draining"}'))
    assert "draining" in (await load.publications(3, patience_s=0.2)).trouble


async def test_a_stream_that_is_refused_breaks_the_run(load: Load, ending: AsyncExitStack) -> None:
    server = Server(b"", answer=b'HTTP/1.1 401 Unauthorized\r\ncontent-length: 23\r\n\r\n{"slug":"unauthorized"}')
    with pytest.raises(Broken, match="unauthorized"):
        await load.open(await server.start(ending), [connect_frame("a token", {})], transport="sse")


async def test_socket_io_refuses_a_client(load: Load, ending: AsyncExitStack) -> None:
    server = Server(framed(b'0{"sid":"a"}') + framed(b'44{"message":"not signed by us"}'))
    with pytest.raises(Broken, match="not signed by us"):
        await load.open(await server.start(ending), ['{"token":"t"}'], transport="socketio")


async def test_nchan_lets_a_client_in_by_the_upgrade(load: Load, ending: AsyncExitStack) -> None:
    server = Server(published(0), silent=True)
    await load.open(await server.start(ending), ["/live/orders:bench"], transport="nchan")
    assert (await load.publications(1, patience_s=10)).publications == 1
    assert server.requests == [b"GET /live/orders:bench HTTP/1.1"]


async def test_a_poll_of_nchan_goes_on_after_the_answer_before(load: Load, ending: AsyncExitStack) -> None:
    asked: Collected[bytes] = Collected()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for number in range(2):
            asked.append(await reader.readuntil(b"\r\n\r\n"))
            body = b'{"data":%b}' % datum(0, number, 1)
            head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nLast-Modified: Monday\r\nEtag: %d\r\n\r\n"
            writer.write(head % (len(body), number) + body)
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    ending.callback(server.close)
    await load.open(server.sockets[0].getsockname()[1], ["/poll/orders:bench"], transport="nchan-poll")
    await asked.until(3)
    assert b"If-" not in asked.items[0]
    assert asked.items[2].endswith(b"If-Modified-Since: Monday\r\nIf-None-Match: 1\r\n\r\n")
    counts = await load.publications(2, patience_s=10)
    assert (counts.publications, counts.missing, counts.repeated) == (2, 0, 0)
