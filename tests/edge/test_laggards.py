"""A replica that does not show what was heard live: a reload only where the leader cannot mend it either."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.edge.edges import Edge, an_edge
from tests.edge.neighbours import Neighbours, a_name
from tests.support.waiting import within
from whimbrel.edge.core.recovery import Complete, StreamBounds, Unrecoverable
from whimbrel.edge.shell import streams
from whimbrel.edge.shell.streams import Streams
from whimbrel.protocol.channels import Channel
from whimbrel.runtime.directget import Batch, DirectGet
from whimbrel.runtime.errors import RequestTimeout

pytestmark = pytest.mark.asyncio(loop_scope="module")

LAG_TRIES = 2


@asynccontextmanager
async def a_laggard(neighbours: Neighbours, patch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Edge, Channel, int, int]]:
    """Yield an edge and a channel, whose second publication no replica shows before its leader was asked."""
    channel = f"orders:{a_name('lag')}"
    first, second = await neighbours.publish(channel, 0, 1)
    patch.setattr(streams, "STALE_WAIT_S", 0.001)
    patch.setattr(streams, "STALE_TRIES", LAG_TRIES)
    batch = DirectGet.batch

    async def lagging(self: DirectGet, stream: str, subject: str | None, start_seq: int, limit: int = 1) -> Batch:
        page = await batch(self, stream, subject, start_seq, limit)
        return Batch([each for each in page.messages if each.seq < second], 0)

    patch.setattr(DirectGet, "batch", lagging)
    async with an_edge(neighbours) as edge:
        yield edge, Channel.parse(channel), first, second


async def test_while_a_leader_is_elected_nobody_is_told_to_reload(
    neighbours: Neighbours, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def elected(self: Streams, channel: Channel) -> StreamBounds:
        raise RequestTimeout("no reply within 1.5 s")

    async with a_laggard(neighbours, monkeypatch) as (edge, channel, first, second):
        monkeypatch.setattr(Streams, "bounds", elected)
        with pytest.raises(RequestTimeout):
            await within(edge.pod.openings._bus.streams.since(channel, first, reach=lambda: second))


async def test_what_the_leader_has_is_waited_for(neighbours: Neighbours, monkeypatch: pytest.MonkeyPatch) -> None:
    batch, bounds = DirectGet.batch, Streams.bounds

    async def caught_up(self: Streams, channel: Channel) -> StreamBounds:
        monkeypatch.setattr(DirectGet, "batch", batch)
        return await bounds(self, channel)

    async with a_laggard(neighbours, monkeypatch) as (edge, channel, first, second):
        monkeypatch.setattr(Streams, "bounds", caught_up)
        verdict = await within(edge.pod.openings._bus.streams.since(channel, first, reach=lambda: second))
        assert isinstance(verdict, Complete)
        assert [each.offset for each in verdict.publications] == [second]


async def test_what_the_leader_has_and_no_replica_shows_is_stale(
    neighbours: Neighbours, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_laggard(neighbours, monkeypatch) as (edge, channel, first, second):
        reads = edge.pod.openings._bus.streams
        assert await within(reads.since(channel, first, reach=lambda: second)) == Unrecoverable("stale")


async def test_a_channel_whose_stream_ends_before_what_was_heard_begins_where_it_ends(
    neighbours: Neighbours, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "STALE_WAIT_S", 0.001)
    channel = f"orders:{a_name('shorn')}"
    async with an_edge(neighbours) as edge:
        [end] = await neighbours.publish(channel, 0)
        peer = await edge.session(a_name("alice"), channel)
        live = edge.pod.hub.channels[Channel.parse(channel)]
        live.newest = end + 1_000_000  # heard live, and lost with its server
        edge.pod.openings._bus.catch_up(live)
        told = await peer.until(lambda frame: frame["type"] == "subscribed")
        assert told["recovered"] is False
        [offset] = await neighbours.publish(channel, 1)
        assert told["offset"] < offset, "what comes next is no repetition"
        assert (await peer.until(lambda frame: frame["type"] == "publication"))["data"] == 1
