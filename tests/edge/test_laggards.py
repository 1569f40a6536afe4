"""A replica that does not show what was heard live: a reload only where the leader cannot mend it either."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar

import pytest

from tests.edge.edges import Edge, an_edge, eventually
from tests.edge.neighbours import Neighbours, a_name
from tests.support.waiting import within
from whimbrel.edge.core.recovery import Complete, StreamBounds, Unrecoverable
from whimbrel.edge.shell import streams, sweeps
from whimbrel.edge.shell.streams import Head, Streams
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


async def test_what_is_heard_while_the_leader_answers_is_not_missed_in_its_answer(
    neighbours: Neighbours, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch, bounds = DirectGet.batch, Streams.bounds
    heard: list[int] = []

    async def overtaken(self: Streams, channel: Channel) -> StreamBounds:
        answer = await bounds(self, channel)
        heard.extend(await neighbours.publish(str(channel), 2))
        monkeypatch.setattr(DirectGet, "batch", batch)
        return answer

    async with a_laggard(neighbours, monkeypatch) as (edge, channel, first, second):
        monkeypatch.setattr(Streams, "bounds", overtaken)
        heard.append(second)
        verdict = await within(edge.pod.openings._bus.streams.since(channel, first, reach=lambda: heard[-1]))
        assert isinstance(verdict, Complete)
        assert [each.offset for each in verdict.publications] == heard


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


async def test_what_is_heard_while_a_channel_begins_anew_is_looked_for(
    neighbours: Neighbours, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "STALE_WAIT_S", 0.001)
    monkeypatch.setattr(sweeps, "RECHECK_S", 0.01)
    channel = Channel.parse(f"orders:{a_name('shorn')}")
    bounds, heads = Streams.bounds, Streams.heads
    comparing: ContextVar[bool] = ContextVar("comparing", default=False)  # as newly opened channels are, at any time
    asked: list[StreamBounds] = []
    async with an_edge(neighbours) as edge:
        [end] = await neighbours.publish(str(channel), 0)
        peer = await edge.session(a_name("alice"), str(channel))
        live = edge.pod.hub.channels[channel]
        live.newest = end + 1_000_000

        async def compared(self: Streams, channels: Sequence[Channel]) -> dict[Channel, Head]:
            comparing.set(True)
            return await heads(self, channels)

        async def overtaken(self: Streams, channel: Channel) -> StreamBounds:
            answer = await bounds(self, channel)
            if comparing.get():
                return answer
            asked.append(answer)
            if len(asked) == 2:  # where to begin anew
                await neighbours.publish(str(channel), 1)
                await eventually(lambda: live.ring is not None and live.ring.head > end)
            return answer

        monkeypatch.setattr(Streams, "heads", compared)
        monkeypatch.setattr(Streams, "bounds", overtaken)
        edge.pod.openings._bus.catch_up(live)
        assert (await peer.until(lambda frame: frame["type"] == "subscribed"))["recovered"] is False
        assert (await peer.until(lambda frame: frame["type"] == "publication"))["data"] == 1
