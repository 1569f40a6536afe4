"""A wrong call is told where it is made, in one line that names the way out; nothing of it reaches the edge."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tests.client.conftest import MakeClient
from tests.client.fake_edge import FakeEdge
from whimbrel.client import BlockingClient, Client, Misuse, Position, Publication, RequestFailed, Subscription

Call = Callable[[Client], Coroutine[Any, Any, Any]]


@pytest.mark.parametrize(
    ("options", "way_out"),
    [
        ({"transport": "carrier-pigeon"}, "use auto, websocket, sse, poll"),
        ({"token": None}, "give a text, or a function"),
        ({"token": ""}, "give a text, or a function"),
        ({"device": "d" * 65}, "device=.* at most 64 characters"),
    ],
)
async def test_a_client_that_cannot_be_is_not_made(
    edge: FakeEdge, client_of: MakeClient, options: dict[str, Any], way_out: str
) -> None:
    with pytest.raises(Misuse, match=way_out):
        client_of(edge, **options)


@pytest.mark.parametrize(
    ("subscription", "way_out"),
    [
        ({"channel": "orders 42"}, "write namespace:name"),
        ({"channel": 42}, "write namespace:name"),
        ({"last": 201}, "not within 0 and 200"),
        ({"capacity": 0}, "no room"),
        ({"last": 1, "position": Position(epoch="e", offset=1)}, "give one of them"),
        ({"position": '{"epoch":"e","offset":1}'}, "Position.model_validate_json"),
    ],
)
async def test_a_subscription_that_cannot_begin_is_not_made(
    edge: FakeEdge, client_of: MakeClient, subscription: dict[str, Any], way_out: str
) -> None:
    async with client_of(edge) as client:
        with pytest.raises(Misuse, match=way_out):
            client.subscribe(**({"channel": "orders:42"} | subscription))


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.publish("orders:42", "e", "x" * 70_000),
        lambda client: client.publish("orders 42", "e", None),
        lambda client: client.publish("orders:42", "", None),
        lambda client: client.publish("orders:42", "e", {1, 2}),
        lambda client: client.publish("orders:42", "e", None, key="k" * 65),
        lambda client: client.history("orders:42", limit=201),
        lambda client: client.history("orders.42"),
        lambda client: client.list_inbox(limit=201),
        lambda client: client.ack("inbox", -1),
        lambda client: client.presence("orders:*"),
    ],
)
async def test_what_the_contract_forbids_is_refused_before_it_is_sent(
    edge: FakeEdge, client_of: MakeClient, call: Call
) -> None:
    async with client_of(edge) as client:
        with pytest.raises((RequestFailed, Misuse)) as refused:
            await call(client)
        assert "\n" not in str(refused.value)
        await client.connected()
        assert [frame["type"] for frame in edge.connections[0].frames] == ["connect"]


async def test_a_client_is_entered_first_and_once(edge: FakeEdge, client_of: MakeClient) -> None:
    client = client_of(edge)
    with pytest.raises(Misuse, match="async with"):
        await client.publish("orders:42", "e", None)
    async with client:
        pass
    with pytest.raises(Misuse, match="make a new one"):
        await client.__aenter__()


async def test_a_subscription_is_entered_first_and_once(edge: FakeEdge, client_of: MakeClient) -> None:
    async with client_of(edge) as client:
        orders = client.subscribe("orders:42")
        for unopened in (anext(orders), anext(orders.events()), anext(client.granted())):
            with pytest.raises(Misuse, match="async with client"):
                await unopened
        async with orders:
            pass
        with pytest.raises(Misuse, match="entered once"):
            await orders.__aenter__()


async def test_who_reads_when_a_subscription_is_left_is_let_go(edge: FakeEdge, client_of: MakeClient) -> None:
    async def read(subscription: Subscription) -> list[Publication]:
        return [publication async for publication in subscription]

    async with client_of(edge) as client:
        async with client.subscribe("orders:42") as orders, client.granted() as granted:
            readers = [asyncio.create_task(read(orders)), asyncio.create_task(anext(granted, None))]
            await asyncio.sleep(0)
        async with asyncio.timeout(10):
            assert await asyncio.gather(*readers) == [[], None]


def test_a_token_is_never_shown() -> None:
    with pytest.raises(Misuse, match="token=<bytes> is none") as refused:
        Client("http://127.0.0.1:9", token=b"a-secret")  # type: ignore[arg-type]
    assert "secret" not in str(refused.value)


def test_a_blocking_client_is_entered_first() -> None:
    with pytest.raises(Misuse, match="with BlockingClient"):
        BlockingClient(Client("http://127.0.0.1:9", token="alice's")).history("orders:42")
