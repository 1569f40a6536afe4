"""What is particular to the Python client over real sockets; what every client does is in tests/conversations."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.client.conftest import MakeClient
from tests.client.fake_edge import FakeEdge
from whimbrel.client import (
    ChannelClosed,
    ChannelRefused,
    Client,
    Closed,
    Position,
    PositionLost,
    Publication,
    Recovered,
    RequestFailed,
    RequestTimeout,
    Reset,
    State,
    StateChange,
    Subscription,
)


async def take(subscription: AsyncIterator[Publication], count: int) -> list[Any]:
    """Return the data of the next publications."""
    async with asyncio.timeout(10):
        return [(await anext(subscription)).data for _ in range(count)]


async def until(client: Client, state: State) -> StateChange:
    """Return the next change into ``state``."""
    async with asyncio.timeout(10):
        async for change in client.states():
            if change.state is state:
                return change
    raise AssertionError(f"the client closed before it was {state}")


async def test_an_edge_that_was_away_is_found_again(edge: FakeEdge, client_of: MakeClient, transport: str) -> None:
    async with client_of(edge, transport=transport) as client, client.subscribe("orders:42") as orders:
        edge.publish("orders:42", 1)
        assert await take(orders, 1) == [1]
        changes = client.states()
        await edge.stop()
        assert (await anext(changes)).retry_s == 0
        edge.stream("orders:42").append("order.changed", 2)
        await edge.restart()
        assert await take(orders, 1) == [2]


async def test_a_history_that_was_lost_is_told_and_the_iteration_goes_on_behind_it(
    edge: FakeEdge, client_of: MakeClient, transport: str
) -> None:
    async with client_of(edge, transport=transport) as client, client.subscribe("orders:42") as orders:
        edge.publish("orders:42", 1)
        assert await take(orders, 1) == [1]
        await edge.stop()
        edge.stream("orders:42").append("order.changed", 2)
        edge.stream("orders:42").forget()
        await edge.restart()
        async with asyncio.timeout(10):
            with pytest.raises(PositionLost) as lost:
                await anext(orders)
        assert lost.value.position == Position(epoch="e1", offset=6)
        edge.publish("orders:42", 3)
        assert await take(orders, 1) == [3]


async def test_events_tell_of_recovery_and_reset_in_their_place(edge: FakeEdge, client_of: MakeClient) -> None:
    async with client_of(edge) as client, client.subscribe("orders:42") as orders:
        events = orders.events()
        edge.drop()
        edge.publish("orders:42", 1)
        async with asyncio.timeout(10):
            assert isinstance(await anext(events), Recovered)
            assert isinstance(await anext(events), Publication)
            edge.stream("orders:42").forgotten = 100
            edge.drop()
            assert isinstance(await anext(events), Reset)


@pytest.mark.parametrize("last", [0, 1, 2])
async def test_a_channel_can_begin_with_its_newest_publications(
    edge: FakeEdge, client_of: MakeClient, transport: str, last: int
) -> None:
    for number in (1, 2, 3):
        edge.publish("orders:42", number)
    async with client_of(edge, transport=transport) as client, client.subscribe("orders:42", last=last) as orders:
        edge.publish("orders:42", 4)
        assert await take(orders, last + 1) == [1, 2, 3, 4][3 - last :]


async def test_an_ephemeral_channel_is_heard_while_one_listens(
    edge: FakeEdge, client_of: MakeClient, transport: str
) -> None:
    async with client_of(edge, transport=transport) as client, client.subscribe("typing:42") as typing:
        if transport == "poll":
            await edge.until(lambda: edge.polls[-1]["channels"]["typing:42"] is not None)
        edge.publish("typing:42", "bob")
        assert await take(typing, 1) == ["bob"]
        assert typing.position is None
        if transport == "poll":
            assert len(edge.polls) < 6  # it waits, and does not ask again and again


async def test_the_inbox_begins_at_the_read_mark_and_ack_moves_it(
    edge: FakeEdge, client_of: MakeClient, transport: str
) -> None:
    edge.publish("inbox", "read")
    edge.read_marks["inbox"] = 3
    edge.publish("inbox", "new")
    if transport == "poll":
        edge.streams["inbox"].publications[:1] = []
    async with client_of(edge, transport=transport) as client, client.inbox() as inbox:
        assert await take(inbox, 1) == ["new"]
        assert await inbox.ack() == 6
        assert edge.read_marks == {"inbox": 6}
        assert await inbox.ack(3) == 6


async def test_who_opens_the_inbox_late_misses_nothing(edge: FakeEdge, client_of: MakeClient) -> None:
    async with client_of(edge) as client:
        await client.connected()
        edge.publish("inbox", "while nobody listened")
        await client.history("inbox")
        async with client.inbox() as inbox:
            assert await take(inbox, 1) == ["while nobody listened"]


async def test_all_that_is_granted_comes_in_one_stream(edge: FakeEdge, client_of: MakeClient) -> None:
    edge.granted = ["group:vip"]
    async with client_of(edge) as client, client.granted() as granted:
        await client.connected()
        edge.publish("group:vip", 1)
        edge.publish("inbox", 2)
        async with asyncio.timeout(10):
            heard = [await anext(granted) for _ in range(2)]
        assert [(each.channel, each.data) for each in heard] == [("group:vip", 1), ("inbox", 2)]
        assert granted.positions["inbox"] == Position(epoch="e1", offset=3)


async def test_requests_are_answered(edge: FakeEdge, client_of: MakeClient, transport: str) -> None:
    async with client_of(edge, transport=transport) as client:
        assert await client.publish("orders:42", "order.noted", {"text": "hello"}) == 3
        assert await client.publish("orders:42", "order.noted", None, key="k") == 6
        assert await client.publish("orders:42", "order.noted", None, key="k") == 6
        page = await client.history("orders:42", limit=1)
        assert [(each.channel, each.offset) for each in page.publications] == [("orders:42", 6)]
        assert page.epoch == "e1"
        with pytest.raises(RequestFailed) as refused:
            await client.publish("secret:1", "e", None)
        assert (refused.value.code, refused.value.slug) == (103, "permission_denied")


async def test_a_request_without_an_answer_times_out(edge: FakeEdge, client_of: MakeClient) -> None:
    edge.silent = {"ack"}
    async with client_of(edge) as client:
        with pytest.raises(RequestTimeout):
            await client.ack("orders:42", 7, timeout=0.05)


async def test_a_refused_channel_is_an_error_of_its_own(edge: FakeEdge, client_of: MakeClient, transport: str) -> None:
    async with client_of(edge, transport=transport) as client:
        with pytest.raises(ChannelRefused, match="secret:1"):
            async with client.subscribe("secret:1"):
                pass
        async with client.subscribe("orders:42") as orders:
            edge.publish("orders:42", 1)
            assert await take(orders, 1) == [1]


async def test_a_channel_that_the_edge_closes_ends_its_iteration(edge: FakeEdge, client_of: MakeClient) -> None:
    async with client_of(edge) as client, client.subscribe("orders:42") as orders:
        edge.publish("orders:42", 1)
        why = {"code": 103, "slug": "permission_denied", "reason": "the user left the group"}
        edge.send({"type": "unsubscribed", "channel": "orders:42"} | why)
        assert await take(orders, 1) == [1]
        with pytest.raises(ChannelClosed):
            await take(orders, 1)


async def test_a_slow_application_loses_nothing(edge: FakeEdge, client_of: MakeClient, transport: str) -> None:
    async with (
        client_of(edge, transport=transport) as client,
        client.subscribe("orders:42", capacity=4) as slow,
        client.subscribe("orders:43") as quick,
    ):
        for number in range(40):
            edge.publish("orders:42", number)
        edge.publish("orders:43", "meanwhile")
        assert await take(quick, 1) == ["meanwhile"]
        assert await take(slow, 40) == list(range(40))


async def test_an_application_that_awaits_the_client_inside_its_loop_is_answered(
    edge: FakeEdge, client_of: MakeClient, transport: str
) -> None:
    async with client_of(edge, transport=transport) as client, client.subscribe("orders:42") as orders:
        edge.publish("orders:42", 1)
        async with asyncio.timeout(10):
            async for publication in orders:
                assert await client.publish("orders:43", "seen", publication.data) == 3
                assert await orders.ack() == 3
                async with client.subscribe("orders:43", last=1) as others:
                    assert await take(others, 1) == [1]
                break


async def test_a_closed_client_ends_iterations_and_refuses_requests(edge: FakeEdge, client_of: MakeClient) -> None:
    client = client_of(edge)
    async with client, client.subscribe("orders:42") as orders:
        reading = asyncio.create_task(_all(orders))
        await client.close()
        assert await reading == []
        with pytest.raises(Closed):
            await client.publish("orders:42", "e", None)
    assert client.state is State.CLOSED


async def _all(subscription: Subscription) -> list[Publication]:
    return [publication async for publication in subscription]
