"""What happens to a client while it is there: its rights change, its token ends, its pod leaves."""

import asyncio
from collections.abc import Callable

import pytest

from tests.conformance.clients import Books, Client, Frame, Refused
from tests.conformance.conftest import Opening
from tests.edge.edges import Edge, an_edge, eventually
from tests.edge.neighbours import Neighbours, a_name
from tests.support.waiting import within
from whimbrel.edge.shell.drain import drain

pytestmark = pytest.mark.asyncio(loop_scope="module")


def of(channel: str, type_: str) -> Callable[[Frame], bool]:
    return lambda frame: frame["type"] == type_ and frame["channel"] == channel


async def test_who_joins_a_group_hears_of_it_from_then_on_and_who_leaves_hears_no_more(
    edge: Edge, a_client: Opening
) -> None:
    user, group = a_name("alice"), a_name("vip")
    channel = f"group:{group}"

    async with a_client(edge.port, edge.neighbours.token(user), "inbox") as client:
        await edge.neighbours.publish(channel, "before")
        await edge.neighbours.join(user, group)
        await client.until(of(channel, "subscribed"))
        await edge.neighbours.publish(channel, "member")
        assert await client.until_received(channel, 1) == ["member"]
        await edge.neighbours.leave(user, group)
        await edge.in_group(user, group, joined=False)
        if client.STREAMS:
            left = await client.until(of(channel, "unsubscribed"))
            assert left["code"] == 103
        await edge.neighbours.publish(channel, "after")
        await edge.neighbours.publish(f"user:{user}", "goodbye")
        await client.until_received("inbox", 1)
        assert client.books.received[channel] == ["member"]


async def test_the_groups_of_a_token_are_open_without_being_asked_for(edge: Edge, a_client: Opening) -> None:
    group = a_name("vip")
    token = edge.neighbours.token(a_name("alice"), groups=(group,))
    async with a_client(edge.port, token, "inbox") as client:
        await edge.neighbours.publish(f"group:{group}", "member")
        assert await client.until_received(f"group:{group}", 1) == ["member"]


async def test_a_token_ends_and_so_does_what_it_opened(
    neighbours: Neighbours, transport: type[Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("whimbrel.edge.core.liveness.EXPIRY_GRACE_S", 0.1)
    async with an_edge(neighbours, ping_s=0.4) as edge:  # a finer wheel
        order, token = f"orders:{a_name('o')}", neighbours.token(a_name("alice"), ttl=1)
        client = transport()
        await client.open(edge.port, token, order)
        if client.STREAMS:
            expiring = await client.until(lambda frame: frame["type"] == "expiring")
            assert expiring["in"] <= 2
            end = await client.until(lambda frame: frame["type"] == "disconnect")
            assert (end["code"], end["slug"], end["reconnect"]) == (4010, "token_expired", True)
        else:
            with pytest.raises(Refused) as refused:
                await within(client.until(lambda frame: frame["type"] == "never"))
            assert (refused.value.code, refused.value.status) == (110, 401)
        await client.close()


async def test_a_pod_leaves_and_nobody_misses_anything(neighbours: Neighbours, transport: type[Client]) -> None:
    order, token, books, published = f"orders:{a_name('o')}", neighbours.token(a_name("alice")), Books(), 0
    async with an_edge(neighbours) as old, an_edge(neighbours) as new:
        client = transport(books)
        await client.open(old.port, token, order)
        listening = asyncio.create_task(client.until(lambda frame: frame["type"] == "disconnect"))
        if not client.STREAMS:
            await eventually(lambda: old.pod.connections)
        draining = asyncio.create_task(drain(old.pod, 2))
        for _ in range(5):
            await neighbours.publish(order, published)
            published += 1
        if client.STREAMS:
            notice: Frame = await within(listening)
            assert (notice["code"], notice["reconnect"]) == (4000, True)
            assert notice["after_ms"] >= 0
        else:  # a poll is answered when its time has come, and the next one goes elsewhere
            await eventually(lambda: len(books.received.get(order, ())) == published)
            listening.cancel()
        successor = transport(books)  # make before break
        await successor.open(new.port, token, order)
        await client.close()
        await within(draining)
        await neighbours.publish(order, published)
        assert await successor.until_received(order, published + 1) == list(range(published + 1))
        await successor.close()
        assert (books.duplicates, books.gaps) == (0, 0)
