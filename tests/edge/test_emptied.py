"""A stream in which nothing is left, because it was purged or all of it grew too old, still proves what comes next."""

from collections.abc import Sequence

import pytest

from tests.edge.edges import an_edge
from tests.edge.neighbours import Neighbours, a_name
from tests.support.waiting import within
from whimbrel.edge.shell import streams
from whimbrel.edge.shell.streams import Head, Streams
from whimbrel.protocol import subjects
from whimbrel.protocol.channels import Channel
from whimbrel.runtime import jetstream
from whimbrel.runtime.directget import DirectGet, Lasts, Stored

pytestmark = pytest.mark.asyncio


def partition_of(channel: str, reads: Streams) -> int:
    return subjects.partition_of(Channel.parse(channel), len(reads.layout.epochs))


async def test_the_first_return_to_an_emptied_stream_is_no_reload(own_neighbours: Neighbours) -> None:
    channel = f"orders:{a_name('emptied')}"
    async with an_edge(own_neighbours) as edge:
        [end] = await own_neighbours.publish(channel, 0)
        stream = subjects.history_stream(partition_of(channel, edge.pod.openings._bus.streams))
        await jetstream.request(own_neighbours.router, f"STREAM.PURGE.{stream}")
        peer = await edge.session(a_name("alice"))
        came = await peer.ask("subscribe", channel=channel)
        assert came["offset"] == end, "where the stream ends, though nothing tells it but the leader"
    await own_neighbours.publish(channel, 1, 2)
    async with an_edge(own_neighbours) as another:
        peer = await another.session(a_name("alice"))
        position = {"epoch": came["epoch"], "offset": came["offset"]}
        returned = await peer.ask("subscribe", channel=channel, position=position)
        assert returned["recovered"] is True
        assert [each["data"] for each in returned["publications"]] == [1, 2]


async def test_a_replica_that_has_nothing_yet_is_not_taken_for_an_emptied_stream(
    own_neighbours: Neighbours, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = f"orders:{a_name('late')}"
    monkeypatch.setattr(streams, "STALE_WAIT_S", 0.01)
    async with an_edge(own_neighbours) as edge:
        [end] = await own_neighbours.publish(channel, 0)
        multi_last, last = DirectGet.multi_last, DirectGet.last
        looks = 0

        async def lagging(self: DirectGet, stream: str, wanted: Sequence[str]) -> Lasts:
            nonlocal looks
            looks += 1
            return Lasts({}, None) if looks <= 2 else await multi_last(self, stream, wanted)

        async def nothing(self: DirectGet, stream: str, subject: str) -> Stored | None:
            return None if looks <= 2 else await last(self, stream, subject)

        monkeypatch.setattr(DirectGet, "multi_last", lagging)
        monkeypatch.setattr(DirectGet, "last", nothing)
        found = await within(edge.pod.openings._bus.streams.heads([Channel.parse(channel)]))
        assert found == {Channel.parse(channel): Head(end, True)}
        assert looks == 3
