"""Reads of history that a replica answers which is behind, or nobody."""

from typing import cast

import pytest

from tests.edge.edges import an_edge, eventually
from tests.edge.neighbours import Neighbours, a_name
from tests.support.nats import NatsServer
from whimbrel.edge.core.recovery import Complete, Unrecoverable
from whimbrel.edge.shell import streams
from whimbrel.edge.shell.streams import Streams
from whimbrel.protocol.channels import Channel
from whimbrel.protocol.publications import encode_body
from whimbrel.runtime.directget import Batch, DirectGet, Stored
from whimbrel.runtime.jetstream import Layout
from whimbrel.runtime.nats import Connection

CHANNEL = Channel("orders", "42")
BODY = encode_body("order.changed", "e1", "2026-11-23T09:00:00Z", b"1")


class Follower:
    """A replica that has one more of the channel's publications at each read, up to ``most``."""

    def __init__(self, *offsets: int, most: int) -> None:
        self.offsets = offsets
        self.most = most
        self.reads = 0

    async def batch(self, _stream: str, subject: str | None, start: int, _limit: int) -> Batch:
        self.reads += 1
        has = self.offsets[: min(self.reads, self.most)]
        return Batch([Stored(offset, "", b"", BODY, subject or "") for offset in has if offset >= start], 0)


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "STALE_WAIT_S", 0.0)


def reading(follower: Follower) -> Streams:
    layout = Layout(8, ("e1",) * 8, "e1")
    return Streams(layout, cast(Connection, None), [cast(DirectGet, follower)])


async def test_a_replica_that_is_behind_is_asked_again_until_it_has_what_is_known() -> None:
    follower = Follower(5, 7, 9, 12, most=4)
    verdict = await reading(follower).since(CHANNEL, 5, reach=lambda: 12)
    assert isinstance(verdict, Complete)
    assert [(each.offset, each.prev) for each in verdict.publications] == [(7, 5), (9, 7), (12, 9)]
    assert follower.reads == 4


async def test_a_replica_that_stays_behind_proves_nothing() -> None:
    follower = Follower(5, 7, 9, 12, most=3)
    assert await reading(follower).since(CHANNEL, 5, reach=lambda: 12) == Unrecoverable("stale")
    assert follower.reads == streams.STALE_TRIES


async def test_a_channel_that_cannot_be_read_in_time_is_refused_and_opens_later(
    own_bus: NatsServer, own_neighbours: Neighbours, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("whimbrel.edge.shell.opening.PATIENCE_S", 0.2)
    async with an_edge(own_neighbours) as edge:
        alice, order = await edge.session(a_name("alice")), f"orders:{a_name('o')}"
        own_bus.pause()
        refused = await alice.ask("subscribe", channel=order)
        assert (refused["type"], refused["error"]["code"]) == ("subscribed", 108)
        own_bus.resume()
        await eventually(lambda: edge.pod.hub.channels[Channel.parse(order)].opened)
        assert "error" not in await alice.ask("subscribe", channel=order)
