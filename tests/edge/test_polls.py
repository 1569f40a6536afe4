"""Polls on one connection after the other, and many at a time: each gets its own, whatever they share."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.edge.edges import Edge, an_edge, eventually
from tests.edge.neighbours import NAMESPACES, Neighbours, a_name
from tests.edge.peers import Wire, poll, request
from tests.edge.pollers import data, positions, waiting
from tests.support.waiting import within
from whimbrel.edge.shell.asks import REPEATED_BYTES, read_post
from whimbrel.edge.shell.drain import drain
from whimbrel.edge.shell.frontdoor import MAX_REPEATED_HEAD_BYTES, FrontDoor
from whimbrel.edge.shell.poll import Poll
from whimbrel.protocol.channels import Channel
from whimbrel.protocol.namespaces import Groups, Namespace
from whimbrel.protocol.rpc import TokenVerdict

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_poll_that_is_repeated_for_ever_gets_every_publication_once(edge: Edge) -> None:
    order, token, wire = f"orders:{a_name('o')}", edge.neighbours.token(a_name("alice")), await edge.wire()
    channels = await positions(wire, token, order)
    got: list[object] = []
    for number in range(0, 30, 2):
        await edge.neighbours.publish(order, number, number + 1)
        while len(got) < number + 2:
            wire.send(poll(token, channels, wait=20))
            answer = (await wire.answer()).json
            got += [frame["data"] for frame in answer["frames"]]
            channels = answer["channels"]
    assert got == list(range(30))


async def test_all_who_wait_at_the_same_position_get_the_same_answer(edge: Edge) -> None:
    order = f"orders:{a_name('o')}"
    wires = [(await edge.wire(), edge.neighbours.token(a_name("user"))) for _ in range(5)]
    for wire, token in wires:
        wire.send(poll(token, await positions(wire, token, order), wait=20))
    await waiting(edge, 5)
    await edge.neighbours.publish(order, "for all")
    answers = [await wire.answer() for wire, _ in wires]
    assert len({answer.body for answer in answers}) == 1
    assert answers[0].json["frames"][0]["data"] == "for all"


async def test_who_waits_for_the_same_names_gets_the_own_inbox(edge: Edge) -> None:
    users = [a_name("user") for _ in range(3)]
    wires = [(await edge.wire(), edge.neighbours.token(user)) for user in users]
    order = f"orders:{a_name('o')}"
    asked = []
    for wire, token in wires:
        channels = await positions(wire, token, "inbox", order)
        asked.append(channels)
        wire.send(poll(token, channels, wait=20))
    await waiting(edge, 3)
    for user in users:
        await edge.neighbours.publish(f"user:{user}", f"for {user}")
    assert [await data(wire) for wire, _ in wires] == [[f"for {user}"] for user in users]


async def test_pages_of_an_origin_and_those_who_leave_share_the_publication_not_the_head(edge: Edge) -> None:
    order, token = f"orders:{a_name('o')}", edge.neighbours.token(a_name("alice"))
    plain, page, leaving = await edge.wire(), await edge.wire(), await edge.wire()
    channels = await positions(plain, token, order)
    body = json.dumps({"channels": channels, "wait": 20}).encode()
    bearer = f"Bearer {token}"
    plain.send(request("POST", "/v1/poll", body, authorization=bearer))
    page.send(request("POST", "/v1/poll", body, authorization=bearer, origin="http://localhost:8000"))
    leaving.send(request("POST", "/v1/poll", body, authorization=bearer, connection="close"))
    await waiting(edge, 3)
    await edge.neighbours.publish(order, 1)
    answers = [await wire.answer() for wire in (plain, page, leaving)]
    assert len({answer.body for answer in answers}) == 1
    assert "access-control-allow-origin" not in answers[0].headers
    assert answers[1].headers["access-control-allow-origin"] == "http://localhost:8000"
    assert answers[2].headers["connection"] == "close"
    assert await leaving.ended() == b""


async def test_publications_of_several_channels_come_in_one_answer_or_the_next_but_once(edge: Edge) -> None:
    orders = [f"orders:{a_name('o')}" for _ in range(3)]
    token, wire = edge.neighbours.token(a_name("alice")), await edge.wire()
    channels = await positions(wire, token, *orders)
    wire.send(poll(token, channels, wait=20))
    await waiting(edge)
    for order in orders:
        await edge.neighbours.publish(order, order)
    got: list[object] = []
    while len(got) < 3:
        answer = (await wire.answer()).json
        got += [frame["data"] for frame in answer["frames"]]
        wire.send(poll(token, answer["channels"], wait=20 if len(got) < 3 else 0))
    assert sorted(map(str, got)) == sorted(orders)
    assert await data(wire) == []


async def test_a_repeated_head_asks_for_what_its_own_body_says(edge: Edge) -> None:
    first, second = f"orders:{a_name('x')}", f"orders:{a_name('y')}"
    token, wire = edge.neighbours.token(a_name("alice")), await edge.wire()
    for _ in range(3):
        for order in (first, second):
            raw = poll(token, {order: None})
            wire.send(raw)
            assert list((await wire.answer()).json["channels"]) == [order]


async def test_another_token_on_the_same_connection_is_another_user(edge: Edge) -> None:
    alice, bob = a_name("u"), a_name("u")
    wire, tokens = await edge.wire(), [edge.neighbours.token(user) for user in (alice, bob)]
    for user, token in zip((alice, bob), tokens, strict=True):
        channels = await positions(wire, token, "inbox")
        wire.send(poll(token, channels, wait=20))
        await waiting(edge)
        await edge.neighbours.publish(f"user:{user}", user)
        assert await data(wire) == [user]
    wire.send(poll("nobody's", {"inbox": None}))
    assert (await wire.answer()).status == 401


async def test_a_token_that_expires_between_two_polls_is_refused(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    token, wire = edge.neighbours.token(a_name("alice"), ttl=60), await edge.wire()
    channels = await positions(wire, token, "inbox")
    wire.send(poll(token, channels))
    assert (await wire.answer()).status == 200
    monkeypatch.setattr("whimbrel.edge.shell.gatekeeper.time.time", lambda: 4e9)
    expired = TokenVerdict(code="token_expired", reason="over")
    monkeypatch.setitem(edge.neighbours._tokens, token, expired)
    wire.send(poll(token, channels))
    assert (await wire.answer()).status == 401


async def test_who_left_a_group_between_two_polls_is_refused_its_channel(edge: Edge) -> None:
    user, group = a_name("alice"), a_name("g")
    await edge.neighbours.join(user, group)
    token, wire = edge.neighbours.token(user), await edge.wire()
    channels = await positions(wire, token, f"group:{group}")
    wire.send(poll(token, channels))
    assert list((await wire.answer()).json["channels"]) == [f"group:{group}"]
    await edge.neighbours.leave(user, group)
    await edge.in_group(user, group, joined=False)
    wire.send(poll(token, channels, wait=20))
    [told] = (await wire.answer()).json["frames"]
    assert told["error"]["slug"] == "permission_denied"


@asynccontextmanager
async def only_for_staff(edge: Edge) -> AsyncIterator[None]:
    """Close the namespace of orders to all others meanwhile."""
    try:
        await edge.neighbours.rule("orders", Namespace(durable=True, subscribe=Groups(groups=("staff",))))
        await eventually(lambda: edge.pod.rules["orders"].subscribe != "authenticated")
        yield
    finally:
        await edge.neighbours.rule("orders", NAMESPACES["orders"])
        await eventually(lambda: edge.pod.rules["orders"].subscribe == "authenticated")


async def test_a_namespace_that_closes_between_two_polls_is_refused(edge: Edge) -> None:
    token, wire, order = edge.neighbours.token(a_name("alice")), await edge.wire(), f"orders:{a_name('o')}"
    channels = await positions(wire, token, order)
    async with only_for_staff(edge):
        wire.send(poll(token, channels, wait=20))
        [told] = (await wire.answer()).json["frames"]
        assert told["error"]["slug"] == "permission_denied"


async def answered_once(edge: Edge, wire: Wire, token: str, *names: str) -> dict[str, object]:
    """Have a poll wait and be answered by a publication; return where the client goes on."""
    channels = await positions(wire, token, *names)
    wire.send(poll(token, channels, wait=20))
    await waiting(edge)
    await edge.neighbours.publish(names[0], "first")
    found: dict[str, object] = (await wire.answer()).json["channels"]
    return found


async def test_a_poll_is_the_same_object_again_for_a_caller_who_goes_on(edge: Edge) -> None:
    order, token, wire = f"orders:{a_name('o')}", edge.neighbours.token(a_name("alice")), await edge.wire()
    channels = await answered_once(edge, wire, token, order)
    seen, sizes = set(), set()
    for number in range(3):
        again = poll(token, channels, wait=20)
        sizes.add(len(again))  # where the offset grows by a digit, the head says another length
        wire.send(again)
        await waiting(edge)
        seen |= edge.pod.connections
        await edge.neighbours.publish(order, number)
        answer = (await wire.answer()).json
        assert [frame["data"] for frame in answer["frames"]] == [number]
        channels = answer["channels"]
    assert len(seen) <= len(sizes)
    wire.send(poll(token, channels, wait=0.2))
    assert (await wire.answer()).json == {"frames": [], "channels": channels}
    await eventually(lambda: not edge.pod.connections)


async def test_who_rests_between_two_polls_is_watched_until_it_asks_for_something_else(edge: Edge) -> None:
    user, order = a_name("alice"), f"orders:{a_name('o')}"
    token, wire = edge.neighbours.token(user), await edge.wire()
    await answered_once(edge, wire, token, order)
    watched = edge.pod.users._users[user]
    assert len(watched.devices) == 1
    assert not edge.pod.counters.open["poll"], "it does not wait"
    wire.send(request("GET", "/v1/transports", authorization=f"Bearer {token}"))
    assert (await wire.answer()).status == 200
    assert not watched.devices


async def test_a_namespace_that_closes_while_a_poll_rests_is_refused_to_the_next(edge: Edge) -> None:
    order, token, wire = f"orders:{a_name('o')}", edge.neighbours.token(a_name("alice")), await edge.wire()
    channels = await answered_once(edge, wire, token, order)
    async with only_for_staff(edge):
        assert not edge.pod.connections
        wire.send(poll(token, channels, wait=20))
        [told] = (await wire.answer()).json["frames"]
        assert told["error"]["slug"] == "permission_denied"


async def test_who_rests_is_told_nothing_of_what_happens_meanwhile(edge: Edge) -> None:
    user, chat = a_name("alice"), f"typing:{a_name('c')}"
    token, wire, device = edge.neighbours.token(user), await edge.wire(), await edge.session(user)
    await edge.neighbours.publish(f"user:{user}", "to be acknowledged")
    publication = await device.until(lambda frame: frame["type"] == "publication")
    channels = await answered_once(edge, wire, token, chat, "inbox")
    other = await edge.session(user)
    live = edge.pod.hub.channels[Channel.parse(chat)]
    before = live.delivered
    await edge.neighbours.publish(chat, "not heard")
    await eventually(lambda: live.delivered > before)
    assert (await device.ask("ack", channel="inbox", offset=publication["offset"]))["type"] == "ok"
    await other.until(lambda frame: frame["type"] == "acked")  # who comes behind it is told
    wire.send(poll(token, channels, wait=20))
    await waiting(edge)
    await edge.neighbours.publish(chat, "heard")
    assert await data(wire) == ["heard"]
    await device.close()
    await other.close()


async def test_who_polls_keeps_its_place_in_a_full_pod(neighbours: Neighbours) -> None:
    async with an_edge(neighbours, max_connections=1) as edge:
        order, token, wire = f"orders:{a_name('o')}", neighbours.token(a_name("alice")), await edge.wire()
        channels = await answered_once(edge, wire, token, order)
        assert (await edge.ask(poll(neighbours.token(a_name("bob")), {order: None}))).status == 503
        wire.send(poll(token, channels, wait=20))
        await waiting(edge)
        await neighbours.publish(order, "second")
        channels = (await wire.answer()).json["channels"]
        wire.send(poll(token, {**channels, "inbox": None}))  # which is no repeat
        assert (await wire.answer()).status == 200


async def test_repeated_polls_count_towards_the_rate_of_their_user(neighbours: Neighbours) -> None:
    async with an_edge(neighbours, requests_per_s=1) as edge:  # and five at once
        edge.stop_clock()
        order, token, wire = f"orders:{a_name('o')}", neighbours.token(a_name("alice")), await edge.wire()
        channels = await answered_once(edge, wire, token, order)  # by two requests
        for number in range(3):
            wire.send(poll(token, channels, wait=20))
            await waiting(edge)
            await neighbours.publish(order, number)
            channels = (await wire.answer()).json["channels"]
        wire.send(poll(token, channels, wait=20))
        refused = await wire.answer()
        assert (refused.status, refused.json["code"]) == (429, 109)


async def test_nobody_waits_for_a_poll_that_rests_when_the_pod_leaves(neighbours: Neighbours) -> None:
    async with an_edge(neighbours) as edge:
        order, token, wire = f"orders:{a_name('o')}", neighbours.token(a_name("alice")), await edge.wire()
        channels = await answered_once(edge, wire, token, order)
        await within(drain(edge.pod, 3600))
        wire.send(poll(token, channels, wait=0.1))
        answer = await wire.answer()
        assert (answer.status, answer.headers["connection"]) == (200, "close")


async def test_a_group_joined_between_two_polls_is_told_by_the_next(edge: Edge) -> None:
    user, group, order = a_name("alice"), a_name("g"), f"orders:{a_name('o')}"
    token, wire = edge.neighbours.token(user), await edge.wire()
    channels = await answered_once(edge, wire, token, order)
    await edge.neighbours.join(user, group)
    await edge.in_group(user, group)
    wire.send(poll(token, channels, wait=1))
    assert f"group:{group}" in (await wire.answer()).json["channels"]


async def test_a_group_joined_while_a_repeated_poll_waits_is_told_and_asked_for_by_the_next(edge: Edge) -> None:
    user, group, order = a_name("alice"), a_name("g"), f"orders:{a_name('o')}"
    token, wire = edge.neighbours.token(user), await edge.wire()
    channels = await answered_once(edge, wire, token, order)
    wire.send(poll(token, channels, wait=20))
    await waiting(edge)
    await edge.neighbours.join(user, group)
    told = (await wire.answer()).json["channels"]
    assert f"group:{group}" in told
    wire.send(poll(token, told, wait=20))
    await waiting(edge)
    await edge.neighbours.publish(f"group:{group}", "for members")
    assert await data(wire) == ["for members"]


async def test_what_was_published_between_two_polls_is_answered_at_once(edge: Edge) -> None:
    order, token, wire = f"orders:{a_name('o')}", edge.neighbours.token(a_name("alice")), await edge.wire()
    channels = await answered_once(edge, wire, token, order)
    await edge.neighbours.publish(order, "meanwhile")
    wire.send(poll(token, channels, wait=20))
    assert await data(wire) == ["meanwhile"]


async def test_a_malformed_body_behind_a_repeated_head_is_refused(edge: Edge) -> None:
    order, token, wire = f"orders:{a_name('o')}", edge.neighbours.token(a_name("alice")), await edge.wire()
    channels = await answered_once(edge, wire, token, order)
    raw = poll(token, channels, wait=20)
    wire.send(raw)
    await waiting(edge)
    await edge.neighbours.publish(order, "second")
    await wire.answer()
    wire.send(raw[:-1] + b"]")
    assert (await wire.answer()).status == 400


async def test_a_fault_in_a_repeated_poll_costs_its_connection_and_leaves_nothing(
    edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    order, token, wire = f"orders:{a_name('o')}", edge.neighbours.token(a_name("alice")), await edge.wire()
    channels = await answered_once(edge, wire, token, order)

    wait_until, broken = FrontDoor.wait_until, [True]

    def breaks_once(door: FrontDoor, at: float) -> None:
        if broken and broken.pop():
            raise ZeroDivisionError
        wait_until(door, at)

    with monkeypatch.context() as patch:
        patch.setattr(FrontDoor, "wait_until", breaks_once)
        wire.send(poll(token, channels, wait=20))
        assert (await wire.answer()).status == 500
    await eventually(lambda: edge.nothing_left)


async def test_an_interval_poll_keeps_its_channel_open(edge: Edge) -> None:
    order, token, wire = f"orders:{a_name('o')}", edge.neighbours.token(a_name("alice")), await edge.wire()
    wire.send(request("GET", f"/v1/poll?channel={order}", authorization=f"Bearer {token}"))
    etag = (await wire.answer()).headers["etag"]
    [live] = [live for live in edge.pod.hub.channels.values() if str(live.channel) == order]
    live.idle_since = 0
    wire.send(request("GET", f"/v1/poll?channel={order}", authorization=f"Bearer {token}", if_none_match=etag))
    answer = await wire.answer()
    assert (answer.status, answer.body, answer.headers["etag"]) == (304, b"", etag)
    assert live.idle_since > 0


async def test_a_fault_in_the_answer_of_one_poll_costs_the_others_nothing(
    edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = f"orders:{a_name('o')}"
    wires = [(await edge.wire(), edge.neighbours.token(a_name("user"))) for _ in range(3)]
    for wire, token in wires:
        wire.send(poll(token, await positions(wire, token, order), wait=20))
    await waiting(edge, 3)
    repeat, broken = FrontDoor.repeat, [True]

    def breaks_once(door: FrontDoor, composed: object) -> None:
        if broken and broken.pop():
            raise ZeroDivisionError
        repeat(door, composed)  # type: ignore[arg-type]

    monkeypatch.setattr(FrontDoor, "repeat", breaks_once)
    await edge.neighbours.publish(order, "x")
    statuses = [(await wire.answer()).status for wire, _ in wires]
    assert sorted(statuses) == [200, 200, 500]


async def test_long_heads_and_bodies_are_read_every_time(edge: Edge) -> None:
    user = a_name("alice")
    token, wire = edge.neighbours.token(user), await edge.wire()
    channels = {f"orders:{a_name('a-rather-long-name-of-an-order')}": None for _ in range(60)}
    raw = poll(token, channels).replace(b"Host: edge", b"Host: edge\r\nX-Long: %b" % (b"x" * MAX_REPEATED_HEAD_BYTES))
    for _ in range(2):
        wire.send(raw)
        assert len((await wire.answer()).json["channels"]) == 60


async def test_a_body_that_comes_again_is_read_once_unless_it_is_long() -> None:
    short = b'{"channels":{"inbox":null}}'
    assert read_post(short) is read_post(bytes(bytearray(short)))
    long = short + b" " * REPEATED_BYTES
    assert read_post(long) is not read_post(long)


async def test_what_waits_is_a_poll_and_nothing_else(edge: Edge, neighbours: Neighbours) -> None:
    token, wire = neighbours.token(a_name("alice")), await edge.wire()
    channels = await positions(wire, token, "inbox")
    wire.send(poll(token, channels, wait=20))
    await waiting(edge)
    [one] = edge.pod.connections
    assert isinstance(one, Poll)
    assert not edge.pod.errands, "it waits without a task"
