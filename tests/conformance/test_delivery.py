"""Every publication once and in order, over every transport and from each to any other."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from tests.conformance.clients import CLIENTS, Books, Client, Frame, WebSocketClient
from tests.conformance.conftest import Opening
from tests.edge.edges import Edge, eventually
from tests.edge.neighbours import a_name
from tests.support.waiting import within
from whimbrel.protocol.channels import Channel

pytestmark = pytest.mark.asyncio(loop_scope="module")


def every_pair(clients: tuple[type[Client], ...]) -> list[type[Client]]:
    """Return a walk on which each client follows each, itself included, once (Hierholzer's circuit)."""
    left = {client: list(clients) for client in clients}
    path, circuit = [clients[0]], list[type[Client]]()
    while path:
        if left[path[-1]]:
            path.append(left[path[-1]].pop())
        else:
            circuit.append(path.pop())
    return circuit


@asynccontextmanager
async def listening(
    edge: Edge, client: Client, wanted: Callable[[Frame], bool]
) -> AsyncIterator["asyncio.Task[Frame]"]:
    """Have ``client`` listen for a frame while something happens: who polls hears what happens while it waits."""
    heard = asyncio.create_task(client.until(wanted))
    if not client.STREAMS:
        await eventually(lambda: edge.pod.counters.open["poll"])
    yield heard
    await within(heard)


async def test_a_channel_starts_from_now_where_no_position_is_given(edge: Edge, a_client: Opening) -> None:
    order = f"orders:{a_name('o')}"
    await edge.neighbours.publish(order, "before")
    async with a_client(edge.port, edge.neighbours.token(a_name("alice")), order) as client:
        assert order not in client.books.recovered
        await edge.neighbours.publish(order, 1, {"nested": ["é", "\n", None]}, 3.5)
        assert await client.until_received(order, 3) == [1, {"nested": ["é", "\n", None]}, 3.5]


def inbox(transport: type[Client]) -> tuple[str, ...]:
    """Return how the inbox is asked for: a poll has the channels that it names, a session always has this one."""
    return () if transport.STREAMS else ("inbox",)


async def test_the_inbox_is_there_and_begins_at_the_read_mark(
    edge: Edge, transport: type[Client], a_client: Opening
) -> None:
    user = a_name("alice")
    token = edge.neighbours.token(user)
    await edge.neighbours.publish(f"user:{user}", 1, 2, 3)
    async with a_client(edge.port, token, *inbox(transport)) as client:
        assert await client.until_received("inbox", 3) == [1, 2, 3]
        history = await client.command("history", channel="inbox", limit=10)
        acked = await client.command("ack", channel="inbox", offset=history["publications"][1]["offset"])
        assert acked["type"] == "ok"
    async with a_client(edge.port, token, *inbox(transport)) as client:
        assert await client.until_received("inbox", 1) == [3]


async def test_what_was_missed_is_recovered_from_the_position(edge: Edge, a_client: Opening) -> None:
    order, token = f"orders:{a_name('o')}", edge.neighbours.token(a_name("alice"))
    books = Books()
    async with a_client(edge.port, token, order, books=books) as client:
        await edge.neighbours.publish(order, 0)
        await client.until_received(order, 1)
    await edge.neighbours.publish(order, *range(1, 300))  # more than a ring holds, and more than one answer
    async with a_client(edge.port, token, books=books) as client:
        await client.until_received(order, 300)
        await edge.neighbours.publish(order, 300)
        assert await client.until_received(order, 301) == list(range(301))
    assert (books.duplicates, books.gaps) == (0, 0)
    assert books.recovered.get(order, True) is True


async def test_what_cannot_be_proved_complete_is_said_to_be_incomplete_and_goes_on(
    edge: Edge, a_client: Opening
) -> None:
    order, token = f"orders:{a_name('o')}", edge.neighbours.token(a_name("alice"))
    books = Books()
    books.positions[order] = {"epoch": "another", "offset": 1}
    await edge.neighbours.publish(order, "nobody can tell")
    async with a_client(edge.port, token, books=books) as client:
        assert books.recovered == {order: False}
        await edge.neighbours.publish(order, "from here on")
        assert await client.until_received(order, 1) == ["from here on"]


async def test_who_found_a_gap_asks_again_from_its_position_and_drops_what_it_has(
    edge: Edge, a_client: Opening
) -> None:
    order, token = f"orders:{a_name('o')}", edge.neighbours.token(a_name("alice"))
    async with a_client(edge.port, token, order) as client:
        await edge.neighbours.publish(order, 0)
        await client.until_received(order, 1)
        here = client.books.positions[order]
        assert here is not None
        before = dict(here)
        await edge.neighbours.publish(order, 1, 2)
        await client.until_received(order, 3)
        client.books.received[order] = [0]  # as if these had never come
        await client.go_back_to(order, before)
        await edge.neighbours.publish(order, 3)
        assert await client.until_received(order, 4) == [0, 1, 2, 3]
        assert client.books.gaps == 0


async def test_a_client_may_go_from_any_transport_to_any_other_at_its_position(edge: Edge) -> None:
    order, user = f"orders:{a_name('o')}", a_name("alice")
    token, books, published = edge.neighbours.token(user), Books(), 0
    for transport in every_pair(CLIENTS):
        client = transport(books)
        await client.open(edge.port, token, order, "inbox")
        await edge.neighbours.publish(order, published)
        await edge.neighbours.publish(f"user:{user}", published)
        await client.until_received(order, published + 1)
        await client.until_received("inbox", published + 1)
        await client.close()
        await edge.neighbours.publish(order, published + 1)  # while nobody listens
        await edge.neighbours.publish(f"user:{user}", published + 1)
        published += 2
    client = WebSocketClient(books)
    await client.open(edge.port, token)
    await client.until_received(order, published)
    await client.until_received("inbox", published)
    await client.close()
    assert books.received == {order: list(range(published)), "inbox": list(range(published))}
    assert (books.duplicates, books.gaps) == (0, 0)
    assert all(books.recovered.values())
    assert published == 2 * (len(CLIENTS) ** 2 + 1)


async def test_an_ephemeral_channel_brings_what_happens_and_keeps_nothing(edge: Edge, a_client: Opening) -> None:
    typing, token = f"typing:{a_name('t')}", edge.neighbours.token(a_name("alice"))
    books = Books()
    async with a_client(edge.port, token, typing, books=books) as client:
        async with listening(edge, client, lambda frame: frame["type"] == "publication") as heard:
            await edge.neighbours.say_live(typing, 1)
        frame = heard.result()
        assert (frame["data"], "offset" in frame, "prev" in frame) == (1, False, False)
    await edge.neighbours.say_live(typing, 2)
    await eventually(lambda: edge.pod.hub.channels[Channel.parse(typing)].delivered == 2)  # to nobody
    async with a_client(edge.port, token, typing, books=books) as client:
        async with listening(edge, client, lambda frame: frame["type"] == "publication") as heard:
            await edge.neighbours.say_live(typing, 3)
        assert heard.result()["data"] == 3


async def test_a_client_publishes_where_it_may_and_hears_itself(edge: Edge, a_client: Opening) -> None:
    chat, token = f"chat:{a_name('c')}", edge.neighbours.token(a_name("alice"))
    async with a_client(edge.port, token, chat) as client:
        told = await client.command("publish", channel=chat, event="said", data={"text": "hello"}, key="k1")
        assert told["type"] == "ok"
        again = await client.command("publish", channel=chat, event="said", data={"text": "hello"}, key="k1")
        assert again["offset"] == told["offset"], "a repeat is the same publication"
        assert await client.until_received(chat, 1) == [{"text": "hello"}]
        position = client.books.positions[chat]
        assert position is not None
        assert position["offset"] == told["offset"]


async def test_an_ack_is_told_to_the_users_other_devices(edge: Edge, a_client: Opening) -> None:
    user = a_name("alice")
    token = edge.neighbours.token(user)
    async with a_client(edge.port, token, "inbox") as client:
        [offset] = await edge.neighbours.publish(f"user:{user}", "read on the phone")
        await client.until_received("inbox", 1)
        phone = WebSocketClient()
        await phone.open(edge.port, token)
        async with listening(edge, client, lambda frame: frame["type"] == "acked") as heard:
            await phone.command("ack", channel="inbox", offset=offset)
        assert heard.result() == {"type": "acked", "channel": "inbox", "offset": offset}
        await phone.close()
