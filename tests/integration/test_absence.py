"""What was published while a user was away arrives once and in order when they come back, over any transport."""

import pytest

from tests.integration.outsiders import DomainTeam, Follower, Poller, a_session
from tests.support.dev import Development

EVENTS = 1000


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
