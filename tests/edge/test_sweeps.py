"""What was stored and never heard live reaches the clients all the same."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.edge.edges import Edge, an_edge, eventually
from tests.edge.neighbours import Neighbours, a_name
from tests.edge.peers import Peer
from tests.support.waiting import within
from whimbrel.edge.core.ring import Ring
from whimbrel.edge.shell import sweeps
from whimbrel.edge.shell.sweeps import Sweeps
from whimbrel.protocol import subjects
from whimbrel.protocol.channels import Channel
from whimbrel.runtime import jetstream

pytestmark = pytest.mark.asyncio(loop_scope="module")

NEVER_S = 3600.0
ADVISORIES = "ctl.test.elected"  # the server's own subject is its own


@pytest.fixture(autouse=True)
def _only_what_a_test_is_about(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeps, "SWEEP_S", NEVER_S)
    monkeypatch.setattr(sweeps, "RECHECK_S", NEVER_S)
    monkeypatch.setattr(sweeps, "LEADER_LOOKS_S", (0.01, 0.02))
    monkeypatch.setattr(subjects, "LEADER_ELECTED", f"{ADVISORIES}.*")


class Deaf:
    """A client whose pod does not hear its channel, as if the leader had died before it republished."""

    def __init__(self, edge: Edge, found: Sweeps, channel: Channel, peer: Peer) -> None:
        self.edge, self.sweeps, self.channel, self.peer = edge, found, channel, peer
        self._bus = edge.pod.openings._bus

    def count(self, reason: str) -> int:
        return self.sweeps.counts[reason,]

    async def missed(self, *data: int) -> None:
        """Publish what nobody hears."""
        live = self.edge.pod.hub.channels[self.channel]
        live.silence()
        await within(self._bus._live.flush())
        await self.edge.neighbours.publish(str(self.channel), *data)

    async def elected(self, stream: str) -> None:
        """Tell what the server tells after an election."""
        router = self.edge.neighbours.router
        router.send(f"{ADVISORIES}.{stream}", b"{}")
        await within(router.flush())


@asynccontextmanager
async def a_deaf_client(neighbours: Neighbours) -> AsyncIterator[Deaf]:
    found: list[Sweeps] = []

    class Seen(Sweeps):
        def __init__(self, *parts: object) -> None:
            super().__init__(*parts)  # type: ignore[arg-type]
            found.append(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("whimbrel.edge.app.Sweeps", Seen)
        async with an_edge(neighbours) as edge:
            channel = Channel("orders", a_name("unheard"))
            peer = await edge.session(a_name("alice"), str(channel))
            yield Deaf(edge, found[0], channel, peer)


async def test_after_a_reconnect_the_client_gets_what_nobody_heard(neighbours: Neighbours) -> None:
    async with a_deaf_client(neighbours) as deaf:
        await deaf.missed(1, 2)
        for listener in deaf._bus._live.on_connected:
            listener()
        assert await deaf.peer.data(2) == [1, 2]
        assert deaf.count("reconnect") == 1


async def test_a_minute_later_the_client_gets_what_nobody_heard(
    neighbours: Neighbours, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeps, "SWEEP_S", 0.05)
    async with a_deaf_client(neighbours) as deaf:
        await deaf.missed(1, 2)
        assert await deaf.peer.data(2) == [1, 2]
        assert deaf.count("minute") > 0


async def test_when_its_stream_has_a_new_leader_the_client_gets_what_nobody_heard(neighbours: Neighbours) -> None:
    async with a_deaf_client(neighbours) as deaf:
        await deaf.missed(1, 2)
        partition = deaf._bus.streams.partition(deaf.channel)
        await deaf.elected(subjects.EVENTS)
        await deaf.elected(subjects.history_stream(partition))
        assert await deaf.peer.data(2) == [1, 2]
        await eventually(lambda: not deaf.sweeps._elected)
        assert deaf.count("leader") >= 2, "a replica may have lagged at the first look"


async def test_another_streams_new_leader_is_nothing_to_read_for(neighbours: Neighbours) -> None:
    async with a_deaf_client(neighbours) as deaf:
        await deaf.missed(1)
        other = deaf._bus.streams.partition(deaf.channel) + 1
        await deaf.elected(subjects.history_stream(other % len(deaf._bus.streams.layout.epochs)))
        await eventually(lambda: deaf.count("leader") and not deaf.sweeps._elected)
        assert deaf.edge.pod.hub.channels[deaf.channel].newest == 0


async def test_where_a_stream_lost_what_it_had_stored_its_subscribers_are_told_to_reload(
    neighbours: Neighbours,
) -> None:
    async with a_deaf_client(neighbours) as deaf:
        [head] = await neighbours.publish(str(deaf.channel), 1)
        await deaf.peer.data(1)
        live = deaf.edge.pod.hub.channels[deaf.channel]
        live.ring, live.newest = Ring(head + 1000), head + 1000  # heard before the power failed
        await deaf.elected(subjects.history_stream(deaf._bus.streams.partition(deaf.channel)))
        told = await deaf.peer.until(lambda frame: frame["type"] == "subscribed")
        assert told["recovered"] is False
        assert head <= told["offset"] < head + 1000
        await neighbours.publish(str(deaf.channel), 2)
        assert await deaf.peer.data(1) == [2], "it is not taken for a repetition"


async def test_what_was_purged_before_anybody_heard_it_is_told_when_the_next_one_comes(neighbours: Neighbours) -> None:
    async with a_deaf_client(neighbours) as deaf:
        live = deaf.edge.pod.hub.channels[deaf.channel]
        await neighbours.publish(str(deaf.channel), 1)
        await deaf.peer.data(1)
        await deaf.missed(2, 3)
        stream = subjects.history_stream(deaf._bus.streams.partition(deaf.channel))
        await jetstream.request(neighbours.router, f"STREAM.PURGE.{stream}")
        listener = deaf._bus.hearing.listener(live)
        live.subscription = deaf._bus._live.attach(listener.subject, listener)
        await within(deaf._bus._live.flush())
        await neighbours.publish(str(deaf.channel), 4)
        told = await deaf.peer.until(lambda frame: frame["type"] in ("subscribed", "publication"))
        assert (told["type"], told.get("recovered")) == ("subscribed", False)


async def test_advisories_name_their_stream() -> None:
    assert subjects.history_of_advisory("$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED.HISTORY_17") == 17
    for other in ("EVENTS", "KV_PRESENCE", "HISTORY_", "HISTORY_x", "KV_HISTORY_3"):
        assert subjects.history_of_advisory(f"$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED.{other}") is None
