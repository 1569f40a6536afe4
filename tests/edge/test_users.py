"""The users whom a pod serves: watched while they are here, and a little longer."""

import asyncio

import pytest

from tests.edge.edges import Edge, eventually
from tests.edge.neighbours import a_name
from tests.edge.peers import poll
from tests.support.waiting import within
from whimbrel.edge.core.hub import LINGER_S
from whimbrel.edge.shell.users import RESOLVED_AT_ONCE, User
from whimbrel.protocol import subjects
from whimbrel.protocol.rpc import GroupsChanged

pytestmark = pytest.mark.asyncio(loop_scope="module")


def watched(edge: Edge, name: str) -> User:
    return edge.pod.users._users[name]


async def test_after_a_reconnect_the_groups_are_asked_for_again_and_sessions_follow(edge: Edge) -> None:
    user, left, joined = a_name("alice"), a_name("left"), a_name("joined")
    edge.neighbours.groups[user] = {left}
    alice = await edge.session(user)
    edge.neighbours.groups[user] = {joined}  # and nobody told
    edge.pod.users._reconnected.set()
    assert (await alice.until(lambda frame: frame["type"] == "unsubscribed"))["channel"] == f"group:{left}"
    assert (await alice.until(lambda frame: frame["type"] == "subscribed"))["channel"] == f"group:{joined}"


async def test_a_change_that_overtakes_the_answer_after_a_reconnect_is_not_undone(edge: Edge) -> None:
    user, group = a_name("alice"), a_name("vip")
    alice = await edge.session(user)
    edge.neighbours.before_resolve = gate = asyncio.Event()
    edge.neighbours.resolved.clear()
    edge.pod.users._reconnected.set()
    await eventually(lambda: user in edge.neighbours.resolved)
    await edge.neighbours.join(user, group)
    assert (await alice.until(lambda frame: frame["type"] == "subscribed"))["channel"] == f"group:{group}"
    gate.set()  # the answer says: no groups
    await eventually(lambda: edge.neighbours.resolved.count(user) > 1)
    await edge.neighbours.publish(f"group:{group}", "still a member")
    assert await alice.data(1) == ["still a member"]
    assert watched(edge, user).groups == frozenset({group})


async def test_many_users_are_asked_for_in_parts_after_a_reconnect(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whimbrel.edge.shell.users.RESOLVED_AT_ONCE", 2)
    users = [a_name("alice") for _ in range(5)]
    for user in users:
        await edge.session(user)
    edge.neighbours.resolved.clear()
    edge.pod.users._reconnected.set()
    await eventually(lambda: set(users) <= set(edge.neighbours.resolved))
    assert RESOLVED_AT_ONCE > 2


async def test_what_a_poll_remembers_of_groups_is_forgotten_when_the_bus_was_away(edge: Edge) -> None:
    user = a_name("alice")
    token = edge.neighbours.token(user)
    await edge.ask(poll(token, {"inbox": None}))
    edge.pod.users._forget_groups()
    assert watched(edge, user).groups is None
    await edge.ask(poll(token, {"inbox": None}))
    assert edge.neighbours.resolved == [user, user]
    assert edge.neighbours.verified == [token], "who the token belongs to has not changed"


async def test_a_user_is_watched_until_a_while_after_the_last_device(edge: Edge) -> None:
    user = a_name("alice")
    first, second = await edge.session(user), await edge.session(user)
    users, loop = edge.pod.users, asyncio.get_running_loop()
    await first.close()
    await eventually(lambda: len(watched(edge, user).devices) == 1)
    users._reap(loop.time() + 10 * LINGER_S)
    assert user in users._users
    await second.close()
    await eventually(lambda: not watched(edge, user).devices)
    users._reap(loop.time() + LINGER_S - 1)
    assert user in users._users, "a reconnect finds it warm"
    attached = users._connection.subscriptions
    users._reap(loop.time() + LINGER_S + 1)
    assert user not in users._users
    assert users._connection.subscriptions < attached


async def test_a_change_that_cannot_be_read_hurts_nobody(edge: Edge) -> None:
    user, group = a_name("alice"), a_name("vip")
    alice = await edge.session(user)
    for junk in (
        b"",
        b"nope",
        b'{"type":"dance"}',
        b'{"type":"acked","channel":"a.b","epoch":"e","offset":1,"session":"s"}',
    ):
        edge.neighbours.router.send(subjects.user_subject(user), junk)
    await edge.neighbours.join(user, group)
    assert (await alice.until(lambda frame: frame["type"] == "subscribed"))["channel"] == f"group:{group}"


async def test_a_change_for_a_user_whose_name_must_be_escaped_arrives(edge: Edge) -> None:
    user, group = f"a.b *>{a_name('é')}", a_name("vip")
    alice = await edge.session(user)
    await edge.neighbours.join(user, group)
    assert (await alice.until(lambda frame: frame["type"] == "subscribed"))["channel"] == f"group:{group}"


async def test_a_change_that_is_told_twice_is_told_the_client_once(edge: Edge) -> None:
    user, group = a_name("alice"), a_name("vip")
    alice = await edge.session(user)
    for _ in range(3):
        await edge.neighbours.tell(user, GroupsChanged(joined=(group,)))
    await edge.neighbours.publish(f"user:{user}", "then this")
    heard: list[str] = []
    async with asyncio.timeout(10):
        while not {"subscribed", "publication"} <= set(heard):  # the group's channel takes a read of its own
            heard.append((await alice.hear())["type"])
    assert heard.count("subscribed") == 1


async def test_a_device_that_comes_while_the_user_is_asked_for_is_not_forgotten(edge: Edge) -> None:
    user = a_name("alice")
    token = edge.neighbours.token(user)
    edge.neighbours.before_resolve = gate = asyncio.Event()
    peers = [await edge.socket() for _ in range(3)]
    for peer in peers:
        peer.say({"type": "connect", "id": 1, "token": token})
    await eventually(lambda: edge.neighbours.resolved)
    gate.set()
    for peer in peers:
        assert (await within(peer.hear()))["type"] == "connected"
    assert len(watched(edge, user).devices) == 3
