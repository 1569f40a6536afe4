"""Coming back without asking anybody: resume grants, and a pod that leaves."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from tests.integration.outsiders import DomainTeam, Follower, a_session, a_socket
from tests.support.dev import Development


@contextmanager
def stopped(development: Development, *services: str) -> Iterator[None]:
    """Let ``services`` neither answer nor die: a dead one would be started again."""
    for name in services:
        development.kill(name, signal.SIGSTOP)
    try:
        yield
    finally:
        for name in services:
            development.kill(name, signal.SIGCONT)


async def test_a_resume_grant_connects_while_auth_and_router_do_not_answer(
    development: Development, shop: DomainTeam
) -> None:
    token = development.token("alice", groups=("vip",))
    async with a_socket(development) as socket:
        connected = await socket.ask("connect", token=token, channels={"orders:grant": None})
        grant = connected["resume"]
    follower = socket.follower
    with stopped(development, "auth", "router"):
        await shop.publish("grant", "missed")
        async with a_socket(development, follower) as socket:
            connected = await socket.ask("connect", resume=grant, channels=follower.positions)
            assert connected["user"] == "alice"
            assert "group:vip" in connected["channels"]
            await socket.until_received("orders:grant", 1)
        async with a_socket(development) as socket:
            await socket.send({"type": "connect", "id": 1, "resume": grant[:-4] + "AAAA"})
            assert await socket.close_code() == 4501


async def test_a_grant_older_than_a_change_of_rights_is_not_honoured(development: Development) -> None:
    token = development.token("jane")
    url = f"{development.router}/v1/groups/vip/members/jane"
    async with httpx.AsyncClient(
        trust_env=False, headers={"Authorization": f"Bearer {development.service_key}"}
    ) as http:
        (await http.put(url)).raise_for_status()
        async with a_session(development, token) as socket:
            assert "group:vip" in socket.follower.positions
        async with a_socket(development) as socket:
            stale = (await socket.ask("connect", token=token))["resume"]
            (await http.delete(url)).raise_for_status()
            await socket.until(lambda frame: frame["type"] == "unsubscribed")
    async with a_socket(development) as socket:
        connected = await socket.ask("connect", resume=stale, token=token)
        assert "group:vip" not in connected["channels"]


async def test_a_pod_that_leaves_says_so_and_its_clients_resume(development: Development, shop: DomainTeam) -> None:
    token = development.token("alice")
    async with a_session(development, token, "orders:drain") as socket:
        left = development.kill("edge", signal.SIGTERM)
        assert await socket.close_code() == 4000
        follower: Follower = socket.follower
    await shop.publish("drain", "meanwhile")
    development.until_restarted("edge", left)
    async with a_session(development, token, follower=follower) as socket:
        await socket.until_received("orders:drain", 1)
    assert follower.received["orders:drain"] == ["meanwhile"]
    assert follower.resets == []
