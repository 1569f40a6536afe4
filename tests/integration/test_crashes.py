"""kill −9 of any process under a running publisher: nothing that was acknowledged is lost, repeated or reordered, and
no inbox forgets."""

import asyncio
from typing import Any

import httpx
import pytest
import websockets

from tests.integration.outsiders import DomainTeam, Follower, Poller, a_session
from tests.support.dev import Development

EVENTS = 300
KILLED_AT = 100
PATIENCE_S = 90.0
# What a client meets while a part is away; it comes back from its position.
AWAY = (OSError, TimeoutError, websockets.WebSocketException, httpx.HTTPError, ConnectionRefusedError)


async def _by_websocket(development: Development, token: str, channel: str, follower: Follower) -> None:
    while len(follower.received.get(channel, ())) < EVENTS:
        try:
            async with a_session(development, token, channel, follower=follower) as socket:
                while len(follower.received.get(channel, ())) < EVENTS:
                    if (await socket.next())["type"] == "disconnect":
                        break
        except AWAY:
            await asyncio.sleep(0.05)


async def _by_long_poll(development: Development, token: str, channel: str, follower: Follower) -> None:
    poller = Poller(development, token, follower)
    while len(follower.received.get(channel, ())) < EVENTS:
        try:
            await poller.poll(channel, wait=5)
        except AWAY:
            await asyncio.sleep(0.05)
    await poller.close()


class Letters:
    """The inbox of somebody who is not there."""

    def __init__(self, development: Development, user: str) -> None:
        self.user = user
        self._edge = development.edge
        headers = {"Authorization": f"Bearer {development.token(user)}"}
        self._http = httpx.AsyncClient(headers=headers, timeout=PATIENCE_S, trust_env=False)

    async def ack(self, offset: int) -> None:
        frame = {"type": "ack", "id": 1, "channel": "inbox", "offset": offset}
        answer = await self._http.post(f"{self._edge}/v1/commands", json={"frames": [frame]})
        assert answer.json() == {"frames": [{"type": "ok", "id": 1, "offset": offset}]}

    async def until(self, *data: str) -> dict[str, Any]:
        """Return what the inbox holds once that is ``data``."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    found: dict[str, Any] = (await self._http.get(f"{self._edge}/v1/inbox")).json()
                    if [each["data"] for each in found.get("publications", ())] == list(data):
                        return found
                except AWAY:
                    pass
                await asyncio.sleep(0.05)  # between two looks

    async def close(self) -> None:
        await self._http.aclose()


@pytest.mark.parametrize("victim", ["edge", "notifier", "auth", "router", "nats"])
async def test_a_killed_process_costs_nobody_an_event(development: Development, shop: DomainTeam, victim: str) -> None:
    channel = f"orders:{victim}"
    token = development.token("alice")
    listening, polling = Follower(), Follower()
    for follower in (listening, polling):  # both start before the first event
        poller = Poller(development, token, follower)
        await poller.poll(channel)
        await poller.close()

    letters = Letters(development, f"ida-{victim}")
    await shop.publish("letters", "read", users=letters.user)
    await shop.publish("letters", "old", users=letters.user, topic="news")
    read = (await letters.until("read", "old"))["publications"][0]["offset"]
    await letters.ack(read)

    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
        group.create_task(_by_websocket(development, token, channel, listening))
        group.create_task(_by_long_poll(development, token, channel, polling))
        for number in range(EVENTS):
            if number == KILLED_AT:
                killed = development.kill(victim)
                group.create_task(asyncio.to_thread(development.until_restarted, victim, killed))
            await shop.publish(victim, number)

    for follower in (listening, polling):
        assert follower.received[channel] == list(range(EVENTS))
        assert (follower.gaps, follower.resets) == (0, [])

    await shop.publish("letters", "new", users=letters.user, topic="news")
    found = await letters.until("read", "new")
    assert (found["read"], found["unread"]) == (read, 1)
    await letters.close()
