"""What was published while a user was away arrives once and in order when they come back, over any transport."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from tests.integration.outsiders import DomainTeam, Follower, Poller, a_session
from tests.support.dev import Development
from whimbrel.client import Client

EVENTS = 1000
PATIENCE_S = 30.0
_USERS = itertools.count(1)


async def _an_absence(development: Development, shop: DomainTeam, order: str) -> tuple[str, Follower]:
    """Have a user see one event, leave, and miss a thousand; return a token and where the user stopped."""
    token = development.token("alice")
    async with a_session(development, token, f"orders:{order}") as socket:
        await shop.publish(order, 0)
        await socket.until_received(f"orders:{order}", 1)
        follower = socket.follower
    for number in range(1, EVENTS + 1):
        await shop.publish(order, number)
    return token, follower


async def test_a_thousand_events_arrive_once_and_in_order_over_websocket(
    development: Development, shop: DomainTeam
) -> None:
    token, follower = await _an_absence(development, shop, "ws")
    async with a_session(development, token, follower=follower) as socket:
        await socket.until_received("orders:ws", EVENTS + 1)
    assert follower.received["orders:ws"] == list(range(EVENTS + 1))
    assert (follower.duplicates, follower.gaps, follower.resets) == (0, 0, [])


async def test_a_thousand_events_arrive_once_and_in_order_over_long_poll(
    development: Development, shop: DomainTeam
) -> None:
    token, follower = await _an_absence(development, shop, "poll")
    poller = Poller(development, token, follower)
    await poller.until_received("orders:poll", EVENTS + 1)
    await poller.close()
    assert follower.received["orders:poll"] == list(range(EVENTS + 1))
    assert (follower.duplicates, follower.gaps, follower.resets) == (0, 0, [])


async def test_a_thousand_events_arrive_once_and_in_order_half_by_poll_and_half_by_websocket(
    development: Development, shop: DomainTeam
) -> None:
    token, follower = await _an_absence(development, shop, "half")
    poller = Poller(development, token, follower)
    while len(follower.received["orders:half"]) < EVENTS // 2:
        await poller.poll(limit=50)
    await poller.close()
    async with a_session(development, token, follower=follower) as socket:
        await socket.until_received("orders:half", EVENTS + 1)
    assert follower.received["orders:half"] == list(range(EVENTS + 1))
    assert (follower.duplicates, follower.gaps, follower.resets) == (0, 0, [])


async def test_an_inbox_keeps_what_its_user_has_not_acknowledged(development: Development, shop: DomainTeam) -> None:
    token = development.token("carol")
    for number in range(5):
        await shop.publish("inbox", number, users="carol")
    async with a_session(development, token) as socket:  # no position: from the oldest that is retained
        await socket.until_received("inbox", 5)
        third = socket.follower.positions["inbox"]
        assert third is not None
        history = await socket.ask("history", channel="inbox")
        acked = await socket.ask("ack", channel="inbox", offset=history["publications"][2]["offset"])
        assert acked["type"] == "ok"
    async with a_session(development, token) as socket:  # from the read mark
        await socket.until_received("inbox", 2)
        assert socket.follower.received["inbox"] == [3, 4]
    poller = Poller(development, token)
    await poller.until_received("inbox", 2)
    assert poller.follower.received["inbox"] == [3, 4]
    await poller.close()


async def test_a_history_that_was_trimmed_is_never_called_complete(development: Development, shop: DomainTeam) -> None:
    token = development.token("alice")
    async with a_session(development, token, "orders:trimmed") as socket:
        await shop.publish("trimmed", "seen")
        await socket.until_received("orders:trimmed", 1)
        follower = socket.follower
    async with a_session(development, token, "orders:trimmed") as witness:  # who sees that all of them are stored
        for number in range(1200):
            await shop.publish("trimmed", number)
        await witness.until_received("orders:trimmed", 1200)
    async with a_session(development, token, follower=follower) as socket:
        assert follower.resets == ["orders:trimmed"]
        await shop.publish("trimmed", "after")
        await socket.until_received("orders:trimmed", 2)
    assert follower.received["orders:trimmed"] == ["seen", "after"]


async def test_a_position_of_another_epoch_is_never_called_complete(development: Development, shop: DomainTeam) -> None:
    follower = Follower()
    follower.positions["orders:epoch"] = {"epoch": "another", "offset": 1}
    async with a_session(development, development.token("alice"), follower=follower):
        assert follower.resets == ["orders:epoch"]


@pytest.mark.parametrize("missed", [0, 1, 3])
async def test_a_quiet_channel_is_proved_complete(development: Development, shop: DomainTeam, missed: int) -> None:
    order = f"quiet-{missed}"
    token = development.token("alice")
    async with a_session(development, token, f"orders:{order}") as socket:
        follower = socket.follower
    for number in range(missed):
        await shop.publish(f"other-{number}", "noise")
        await shop.publish(order, number)
    async with a_session(development, token, follower=follower) as socket:
        await socket.until_received(f"orders:{order}", missed)
        await shop.publish(order, "live")
        await socket.until_received(f"orders:{order}", missed + 1)
    assert follower.received[f"orders:{order}"] == [*range(missed), "live"]
    assert follower.resets == []


# Inboxes


@pytest.fixture
def user() -> str:
    """Somebody whose inbox nobody else uses."""
    return f"user-{next(_USERS)}"


async def inbox(development: Development, token: str, **asked: Any) -> dict[str, Any]:
    async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE_S) as http:
        answer = await http.get(
            f"{development.edge}/v1/inbox", params=asked, headers={"Authorization": f"Bearer {token}"}
        )
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def until_it_holds(development: Development, token: str, *data: Any) -> dict[str, Any]:
    """Return the inbox once it holds ``data``, in this order."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            found = await inbox(development, token)
            if [each["data"] for each in found["publications"]] == list(data):
                return found
            await asyncio.sleep(0.02)  # between two looks


async def test_a_device_that_was_away_finds_what_still_holds_and_what_is_unread(
    development: Development, shop: DomainTeam, user: str
) -> None:
    token = development.token(user)
    follower = Follower()
    async with a_session(development, token, follower=follower) as phone:
        await shop.publish("42", "seen", users=user, topic="order-42")
        await phone.until_received("inbox", 1)
        position = follower.positions["inbox"]
        assert position is not None
        await phone.ask("ack", channel="inbox", offset=position["offset"])
    wrong = await shop.publish("42", "wrong", users=user)
    await shop.publish("42", "packed", users=user, topic="order-42")
    await shop.publish("42", "shipped", users=user, topic="order-42")
    await shop.publish("42", "a note", users=user, ttl="3600")
    await shop.publish("42", None, users=user, withdraw=wrong)
    found = await until_it_holds(development, token, "shipped", "a note")
    assert (found["unread"], found["complete"]) == (2, True)
    async with a_session(development, token, follower=follower) as phone:
        await shop.publish("42", "live", users=user)
        await phone.until_received("inbox", 5)
        assert follower.received["inbox"] == ["seen", "shipped", "a note", {"event_id": wrong}, "live"]
        assert (follower.gaps, follower.resets) == (0, [])
        assert (await phone.ask("inbox", unread=True, limit=1))["unread"] == 3


async def test_a_device_that_shows_what_is_withdrawn_is_told(
    development: Development, shop: DomainTeam, user: str
) -> None:
    token = development.token(user)
    async with a_session(development, token) as phone:
        poller = Poller(development, token)
        await shop.publish("43", "not true", users=user, topic="order-43")
        await phone.until_received("inbox", 1)
        await poller.until_received("inbox", 1)
        await shop.publish("43", None, users=user, headers={"whimbrel-withdraw-topic": "order-43"})
        told = await phone.until(lambda frame: frame.get("event") == "whimbrel.withdrawn")
        assert told["data"] == {"topic": "shop:order-43"}
        await poller.until_received("inbox", 2)
        assert poller.follower.received["inbox"] == ["not true", {"topic": "shop:order-43"}]
        await poller.close()
        assert (await inbox(development, token))["unread"] == 0


async def test_what_expired_while_a_device_was_away_does_not_come(
    development: Development, shop: DomainTeam, user: str
) -> None:
    token = development.token(user)
    follower = Follower()
    async with a_session(development, token, follower=follower):
        pass
    await shop.publish("44", "soon over", users=user, ttl="1")
    await shop.publish("44", "stays", users=user)
    await until_it_holds(development, token, "stays")
    async with a_session(development, token, follower=follower) as phone:
        await phone.until_received("inbox", 1)
        assert (follower.received["inbox"], follower.resets) == (["stays"], [])


async def test_a_chatty_topic_pushes_nothing_out(development: Development, shop: DomainTeam, user: str) -> None:
    token = development.token(user)
    await shop.publish("45", "important", users=user)
    updates = 1300  # more than an inbox keeps
    for number in range(updates):
        await shop.publish("45", number, users=user, topic="progress")
    found = await until_it_holds(development, token, "important", updates - 1)
    assert (found["unread"], found["complete"]) == (2, True)


@asynccontextmanager
async def a_client(development: Development, user: str, transport: Any) -> AsyncIterator[Client]:
    async with Client(development.edge, token=development.token(user), transport=transport) as client:
        yield client


@pytest.mark.parametrize("transport", ["websocket", "poll"])
async def test_the_python_client_lists_and_counts_and_follows_a_withdrawal(
    development: Development, shop: DomainTeam, user: str, transport: str
) -> None:
    async with a_client(development, user, transport) as client, client.inbox() as letters:
        await shop.publish("46", "one", users=user, ttl="3600", topic="order-46")
        first = await asyncio.wait_for(anext(letters), PATIENCE_S)
        assert (first.data, first.topic) == ("one", "shop:order-46")
        assert first.expires is not None
        page = await client.list_inbox()
        assert ([each.data for each in page.publications], page.unread, page.read, page.complete) == (
            ["one"],
            1,
            0,
            True,
        )
        assert first.offset is not None
        await client.ack("inbox", first.offset)
        page = await client.list_inbox(unread=True)
        assert (page.publications, page.unread, page.read) == ((), 0, first.offset)
        await shop.publish("46", None, users=user, headers={"whimbrel-withdraw-topic": "order-46"})
        second = await asyncio.wait_for(anext(letters), PATIENCE_S)
        assert (second.event, second.data) == ("whimbrel.withdrawn", {"topic": "shop:order-46"})


async def test_the_command_line_fills_shows_and_empties_an_inbox(development: Development, user: str) -> None:
    subject, of_user = "events.shop.order.47", ("--users", user)
    about = ("--type", "order.packed", "--data", '"packed"', "--topic", "order-47", "--ttl", "2h")
    development.whimbrel("publish", subject, *of_user, *about)
    await until_it_holds(development, development.token(user), "packed")
    shown = development.whimbrel("inbox", "--user", user, "--unread").stdout
    assert "shop:order-47" in shown
    assert shown.endswith("1 unread\n")
    development.whimbrel("withdraw", subject, *of_user, "--topic", "order-47")
    await until_it_holds(development, development.token(user))
