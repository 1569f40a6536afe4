"""Who hears of what: all devices of a user, and the members of a group from the moment they join until they leave."""

import asyncio
import time

import httpx

from tests.integration.outsiders import DomainTeam, Poller, a_session
from tests.support.dev import Development

SOON_S = 1.0


def _membership(development: Development, group: str, user: str) -> tuple[str, dict[str, str]]:
    return (
        f"{development.router}/v1/groups/{group}/members/{user}",
        {"Authorization": f"Bearer {development.service_key}"},
    )


async def _join(development: Development, group: str, user: str) -> None:
    url, headers = _membership(development, group, user)
    async with httpx.AsyncClient(trust_env=False) as http:
        (await http.put(url, headers=headers)).raise_for_status()


async def _leave(development: Development, group: str, user: str) -> None:
    url, headers = _membership(development, group, user)
    async with httpx.AsyncClient(trust_env=False) as http:
        (await http.delete(url, headers=headers)).raise_for_status()


async def test_two_devices_of_one_user_both_receive(development: Development, shop: DomainTeam) -> None:
    token = development.token("dora")
    async with a_session(development, token) as phone, a_session(development, token) as laptop:
        await shop.publish("7", "for dora", users="dora")
        await phone.until_received("inbox", 1)
        await laptop.until_received("inbox", 1)
        assert phone.follower.received["inbox"] == laptop.follower.received["inbox"] == ["for dora"]


async def test_an_ack_on_one_device_is_told_to_the_other(development: Development, shop: DomainTeam) -> None:
    token = development.token("erik")
    async with a_session(development, token) as phone, a_session(development, token) as laptop:
        await shop.publish("7", "for erik", users="erik")
        await phone.until_received("inbox", 1)
        position = phone.follower.positions["inbox"]
        assert position is not None
        await phone.ask("ack", channel="inbox", offset=position["offset"])
        acked = await laptop.until(lambda frame: frame["type"] == "acked")
        assert acked == {"type": "acked", "channel": "inbox", "offset": position["offset"]}


async def test_who_joins_a_group_receives_from_then_on_and_who_leaves_stops_within_a_second(
    development: Development, shop: DomainTeam
) -> None:
    token = development.token("frida")
    async with a_session(development, token) as socket:
        await shop.publish("8", "before", groups="vip")
        await _join(development, "vip", "frida")
        joined = await socket.until(lambda frame: frame["type"] == "subscribed")
        assert joined["channel"] == "group:vip"
        await shop.publish("8", "member", groups="vip")
        await socket.until_received("group:vip", 1)

        began = time.monotonic()
        await _leave(development, "vip", "frida")
        left = await socket.until(lambda frame: frame["type"] == "unsubscribed")
        assert time.monotonic() - began < SOON_S
        assert (left["channel"], left["code"]) == ("group:vip", 103)

        await shop.publish("8", "after", groups="vip", users="frida")
        await socket.until_received("inbox", 1)
        assert socket.follower.received["group:vip"] == ["member"]


async def test_who_left_a_group_cannot_come_back_to_its_channel_by_an_old_grant(development: Development) -> None:
    token = development.token("gina")
    await _join(development, "vip", "gina")
    async with a_session(development, token) as socket:
        assert "group:vip" in socket.follower.positions
        await _leave(development, "vip", "gina")
        await socket.until(lambda frame: frame["type"] == "unsubscribed")
    async with a_session(development, token) as socket:
        refused = await socket.ask("history", channel="group:vip")
        assert refused["code"] == 103


async def test_a_waiting_poll_follows_a_change_of_groups(development: Development, shop: DomainTeam) -> None:
    await _join(development, "night", "hugo")
    poller = Poller(development, development.token("hugo"))
    await poller.poll("group:night")
    waiting = asyncio.create_task(poller.poll(wait=20))
    await shop.publish("9", "member", groups="night")
    await waiting
    assert poller.follower.received["group:night"] == ["member"]
    waiting = asyncio.create_task(poller.poll(wait=20))
    await _leave(development, "night", "hugo")
    [left] = await asyncio.wait_for(waiting, SOON_S + 1)
    assert (left["type"], left["channel"], left["code"]) == ("unsubscribed", "group:night", 103)
    answer = await poller.http.post(f"{development.edge}/v1/poll", json={"channels": {"group:night": None}, "wait": 0})
    assert answer.json()["frames"][0]["error"]["code"] == 103
    await poller.close()
