"""One WebSocket from its handshake to its end, on a whole edge."""

import asyncio
from typing import Any

import pytest

from tests.edge.edges import Edge, an_edge, eventually
from tests.edge.neighbours import Neighbours, a_name
from tests.edge.peers import CLOSE, PING, PONG, TEXT, Peer, masked, message, upgrade
from whimbrel.edge.shell import websocket
from whimbrel.edge.shell.streams import Streams
from whimbrel.protocol.namespaces import Namespace

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def held_reads(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Hold every read of heads until the event is set: channels stay on their way."""
    go_on = asyncio.Event()
    heads = Streams.heads

    async def held(self: Streams, channels: Any) -> Any:
        await go_on.wait()
        return await heads(self, channels)

    monkeypatch.setattr(Streams, "heads", held)
    return go_on


# The conversation


async def test_a_session_receives_acknowledges_and_reads_back(edge: Edge) -> None:
    user, order = a_name("alice"), f"orders:{a_name('o')}"
    alice = await edge.session(user, order)
    offsets = await edge.neighbours.publish(order, "one", {"two": 2})
    first = await alice.until(lambda frame: frame["type"] == "publication")
    second = await alice.hear()
    assert [(each["channel"], each["data"], each["offset"]) for each in (first, second)] == [
        (order, "one", offsets[0]),
        (order, {"two": 2}, offsets[1]),
    ]
    assert second["prev"] == offsets[0]
    assert await alice.ask("ack", channel=order, offset=offsets[1]) == {"type": "ok", "id": 2, "offset": offsets[1]}
    history = await alice.ask("history", channel=order)
    assert [each["data"] for each in history["publications"]] == ["one", {"two": 2}]


async def test_what_came_in_the_same_segment_as_the_upgrade_is_served(edge: Edge) -> None:
    wire = await edge.wire()
    token = edge.neighbours.token(a_name("alice"))
    connect = message({"type": "connect", "id": 1, "token": token})
    wire.send(upgrade() + connect + message({"type": "ping"}))
    assert (await wire.answer()).status == 101
    peer = Peer(wire)
    assert (await peer.hear())["type"] == "pong"
    assert (await peer.hear())["type"] == "connected"


async def test_who_answers_is_pinged_again_after_as_much_silence(neighbours: Neighbours) -> None:
    async with an_edge(neighbours, ping_s=0.1, pong_s=60) as edge:
        alice = await edge.session(a_name("alice"))
        heard = (edge.pod.counters.frames_in, edge.pod.counters.bytes_in)
        for _ in range(2):  # who is looked at only when the answer is overdue would wait a minute for the second
            assert await alice.hear() == {"type": "ping"}
            alice.wire.send(masked(b'{"type":"pong"}'))
        assert await alice.hear() == {"type": "ping"}
        assert (edge.pod.counters.frames_in - heard[0], edge.pod.counters.bytes_in - heard[1]) == (2, 42)
        [socket] = edge.pod.connections
        assert socket.session.tally.received == 3  # type: ignore[attr-defined]


async def test_an_ack_reaches_the_users_other_devices(edge: Edge) -> None:
    user, order = a_name("alice"), f"orders:{a_name('o')}"
    phone, laptop = await edge.session(user, order), await edge.session(user, order)
    [offset] = await edge.neighbours.publish(order, 1)
    await phone.data(1)
    await phone.ask("ack", channel=order, offset=offset)
    acked = await laptop.until(lambda frame: frame["type"] == "acked")
    assert acked == {"type": "acked", "channel": order, "offset": offset}


async def test_groups_follow_the_router_while_a_session_is_open(edge: Edge) -> None:
    user, group = a_name("alice"), a_name("vip")
    alice = await edge.session(user)
    await edge.neighbours.join(user, group)
    assert (await alice.until(lambda frame: frame["type"] == "subscribed"))["channel"] == f"group:{group}"
    await edge.neighbours.publish(f"group:{group}", "for members")
    assert await alice.data(1) == ["for members"]
    await edge.neighbours.leave(user, group)
    assert (await alice.until(lambda frame: frame["type"] == "unsubscribed"))["channel"] == f"group:{group}"
    await edge.neighbours.publish(f"group:{group}", "not for alice")
    await edge.neighbours.publish(f"user:{user}", "for alice")
    assert await alice.data(1) == ["for alice"]


# A bearer header on the upgrade


async def test_a_bearer_header_stands_in_for_the_token(edge: Edge) -> None:
    user = a_name("alice")
    peer = await edge.socket(authorization=f"Bearer {edge.neighbours.token(user)}")
    assert (await peer.ask("connect"))["user"] == user


async def test_a_forged_bearer_header_is_refused_before_the_upgrade(edge: Edge) -> None:
    for header in ("Bearer forged", "Bearer ", "Basic YTpi"):
        answer = await edge.ask(upgrade(authorization=header))
        assert (answer.status, answer.json["slug"]) == (401, "unauthorized")
        assert answer.headers["www-authenticate"] == "Bearer"
    await eventually(lambda: edge.nothing_left)


async def test_a_group_that_was_left_between_the_upgrade_and_connect_is_not_opened(edge: Edge) -> None:
    user, left, stays = a_name("alice"), a_name("left"), a_name("stays")
    edge.neighbours.groups[user] = {left, stays}
    peer = await edge.socket(authorization=f"Bearer {edge.neighbours.token(user)}")
    await edge.neighbours.leave(user, left)
    await eventually(lambda: edge.pod.users._users[user].changes)
    connected = await peer.ask("connect")
    assert set(connected["channels"]) == {"inbox", f"group:{stays}"}


async def test_a_token_of_somebody_else_in_connect_counts_and_the_header_is_forgotten(edge: Edge) -> None:
    alice, bob, group = a_name("alice"), a_name("bob"), a_name("vip")
    peer = await edge.socket(authorization=f"Bearer {edge.neighbours.token(alice)}")
    assert (await peer.ask("connect", token=edge.neighbours.token(bob)))["user"] == bob
    await edge.neighbours.join(alice, group)
    await edge.neighbours.publish(f"user:{bob}", "hello")
    assert await peer.data(1) == ["hello"]
    assert not edge.pod.users._users[alice].devices
    await peer.close()
    await eventually(lambda: edge.nothing_left)


# While channels are on their way


async def test_a_client_lost_while_router_answers_leaves_nothing_behind(edge: Edge) -> None:
    edge.neighbours.before_resolve = asyncio.Event()
    peer = await edge.socket()
    peer.say({"type": "connect", "id": 1, "token": edge.neighbours.token(a_name("alice"))})
    await eventually(lambda: edge.neighbours.resolved)
    peer.wire.reset()
    await eventually(lambda: not edge.pod.connections)
    edge.neighbours.before_resolve.set()
    await eventually(lambda: not edge.pod.errands)
    assert edge.nothing_left


async def test_a_client_lost_while_its_channels_are_read_leaves_nothing_behind(
    edge: Edge, held_reads: asyncio.Event
) -> None:
    peer = await edge.socket()
    peer.say({"type": "connect", "id": 1, "token": edge.neighbours.token(a_name("alice"))})
    await eventually(lambda: edge.pod.hub.channels)
    peer.wire.reset()
    await eventually(lambda: not edge.pod.connections)
    held_reads.set()
    await eventually(lambda: not edge.pod.errands)
    assert edge.nothing_left


async def test_a_thousand_connects_and_disconnects_leave_nothing_behind(edge: Edge) -> None:
    token = edge.neighbours.token(a_name("alice"))
    order = f"orders:{a_name('o')}"

    async def come_and_go(number: int) -> None:
        peer = await edge.socket()
        if number % 4:
            peer.say({"type": "connect", "id": 1, "token": token, "channels": {order: None}})
        if number % 4 == 2:
            await peer.hear()
        if number % 2:
            peer.wire.reset()
        else:
            await peer.close()

    for _ in range(20):
        await asyncio.gather(*(come_and_go(number) for number in range(50)))
    await eventually(lambda: edge.nothing_left)
    assert sum(edge.pod.counters.closed.values()) == 1000
    await edge.neighbours.publish(order, "nobody listens")


async def test_unsubscribing_while_a_channel_is_on_its_way_answers_both(edge: Edge, held_reads: asyncio.Event) -> None:
    held_reads.set()
    order = f"orders:{a_name('o')}"
    alice = await edge.session(a_name("alice"))
    held_reads.clear()
    alice.say({"type": "subscribe", "id": 10, "channel": order})
    alice.say({"type": "unsubscribe", "id": 11, "channel": order})
    alice.say({"type": "subscribe", "id": 12, "channel": order})
    first = await alice.hear()
    second = await alice.hear()
    assert (first["type"], first["id"], first["code"]) == ("error", 10, 105)
    assert second == {"type": "ok", "id": 11}
    held_reads.set()
    assert (await alice.hear())["id"] == 12
    await edge.neighbours.publish(order, "once")
    await edge.neighbours.publish(order, "twice")
    assert await alice.data(2) == ["once", "twice"]


async def test_who_subscribes_again_from_a_position_gets_what_follows_it(edge: Edge) -> None:
    order = f"orders:{a_name('o')}"
    alice = await edge.session(a_name("alice"), order)
    offsets = await edge.neighbours.publish(order, 1, 2, 3)
    await alice.data(3)
    epoch = edge.pod.hub.channels[next(each for each in edge.pod.hub.channels if str(each) == order)].epoch
    again = await alice.ask("subscribe", channel=order, position={"epoch": epoch, "offset": offsets[0]})
    assert again["recovered"] is True
    assert [each["data"] for each in again["publications"]] == [2, 3]
    await edge.neighbours.publish(order, 4)
    assert await alice.data(1) == [4]


async def test_a_namespace_that_becomes_ephemeral_sends_its_subscribers_back(edge: Edge) -> None:
    namespace = a_name("kind")
    durable = Namespace(durable=True, subscribe="authenticated")
    await edge.neighbours.rule(namespace, durable)
    await eventually(lambda: namespace in edge.pod.rules)
    inside = await edge.session(a_name("alice"), f"{namespace}:1")
    outside = await edge.session(a_name("bob"))
    await edge.neighbours.rule(namespace, Namespace(durable=False, subscribe="authenticated"))
    assert await inside.close_code() == 4004
    again = await edge.session(a_name("alice"), f"{namespace}:1")
    await edge.neighbours.say_live(f"{namespace}:1", "typing")
    assert await again.data(1) == ["typing"]
    assert (await outside.ask("history", channel="inbox"))["type"] == "ok"


# The end


async def test_a_close_by_the_client_is_echoed_and_is_the_last_frame(edge: Edge) -> None:
    order = f"orders:{a_name('o')}"
    alice = await edge.session(a_name("alice"), order)
    alice.wire.send(masked((1001).to_bytes(2, "big"), CLOSE) + message({"type": "ping"}))
    await edge.neighbours.publish(order, "too late")
    assert await alice.raw() == (CLOSE, (1001).to_bytes(2, "big"))
    assert await alice.wire.ended() == b""
    await eventually(lambda: edge.nothing_left)
    assert edge.pod.counters.closed["client"] == 1


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (masked(b"nope"), 4500),
        (masked(b"x" * 70_000), 4504),
        (masked(b"\x00\xff", 2), 4500),
        (b"\x81\x02{}", 4500),
        (b"\xc1" + masked(b"{}")[1:], 4500),
        (masked(b"{}", 0, fin=True), 4500),
        (masked(b"x" * 126, PING), 4500),
    ],
)
async def test_what_the_contract_forbids_closes_with_its_code_behind_a_disconnect(
    edge: Edge, data: bytes, code: int
) -> None:
    alice = await edge.session(a_name("alice"))
    alice.wire.send(data)
    disconnect = await alice.until(lambda frame: frame["type"] == "disconnect")
    assert (disconnect["code"], disconnect["reconnect"]) == (code, False)
    opcode, payload = await alice.raw()
    assert (opcode, int.from_bytes(payload[:2], "big"), payload[2:].decode()) == (CLOSE, code, disconnect["slug"])


async def test_a_client_that_answers_our_close_is_gone_at_once(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "CLOSE_WAIT_S", 60)
    alice = await edge.session(a_name("alice"))
    alice.wire.send(masked(b"nope") + message({"type": "ping"}) + masked(b"{}")[:3])
    assert await alice.close_code() == 4500
    alice.wire.send(masked(b"{}")[3:] + masked((4500).to_bytes(2, "big"), CLOSE))
    assert await alice.wire.ended() == b""
    await eventually(lambda: edge.nothing_left)


async def test_a_client_that_does_not_answer_our_close_is_cut(
    neighbours: Neighbours, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket, "CLOSE_WAIT_S", 0.1)
    async with an_edge(neighbours, ping_s=0.4) as edge:
        alice = await edge.session(a_name("alice"))
        alice.wire.send(masked(b"nope"))
        assert await alice.close_code() == 4500
        await alice.wire.ended()
        await eventually(lambda: edge.nothing_left)


async def test_a_fault_of_ours_costs_one_connection(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    order = f"orders:{a_name('o')}"
    bystander = await edge.session(a_name("bob"), order)
    alice = await edge.session(a_name("alice"))

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(type(edge.pod.requests), "answer", broken)
    alice.say({"type": "history", "id": 9, "channel": "inbox"})
    assert await alice.close_code() == 4005
    await edge.neighbours.publish(order, "still here")
    assert await bystander.data(1) == ["still here"]


# Time


async def test_a_silent_client_is_pinged_then_closed(neighbours: Neighbours) -> None:
    async with an_edge(neighbours, ping_s=0.2, pong_s=0.2) as edge:
        alice = await edge.session(a_name("alice"))
        assert await alice.until(lambda frame: frame["type"] == "ping")
        assert await alice.close_code() == 4001


@pytest.mark.parametrize("sign", [message({"type": "pong"}), masked(b"", PONG), masked(b"", PING)])
async def test_any_sign_of_life_answers_a_ping(neighbours: Neighbours, sign: bytes) -> None:
    async with an_edge(neighbours, ping_s=0.15, pong_s=0.15) as edge:
        alice = await edge.session(a_name("alice"))
        for _ in range(3):
            await alice.until(lambda frame: frame["type"] == "ping")
            alice.wire.send(sign)
        assert edge.pod.connections


async def test_a_client_that_never_says_connect_is_closed_even_if_it_pings(neighbours: Neighbours) -> None:
    async with an_edge(neighbours, connect_timeout_s=0.2) as edge:
        peer = await edge.socket()
        peer.say({"type": "ping"})
        assert (await peer.hear())["type"] == "pong"
        assert await peer.close_code() == 4003


async def test_an_expired_token_that_is_refreshed_keeps_the_session(edge: Edge) -> None:
    user = a_name("alice")
    alice = await edge.session(user, token=edge.neighbours.token(user, ttl=29))
    assert (await alice.until(lambda frame: frame["type"] == "expiring"))["in"] <= 29
    refreshed = await alice.ask("refresh", token=edge.neighbours.token(user))
    assert refreshed["expires_in"] > 3500
    stranger = await alice.ask("refresh", token=edge.neighbours.token(a_name("bob")))
    assert stranger["code"] == 101


# Limits of the pod


async def test_a_full_pod_sends_others_elsewhere_and_serves_again_when_somebody_left(neighbours: Neighbours) -> None:
    async with an_edge(neighbours, max_connections=1) as edge:
        alice = await edge.session(a_name("alice"))
        answer = await edge.ask(upgrade())
        assert (answer.status, answer.json["code"], answer.headers["retry-after"]) == (503, 4008, "2")
        assert answer.headers["content-type"] == "application/problem+json"
        assert edge.pod.counters.refused["overloaded"] == 1
        await alice.close()
        await eventually(lambda: not edge.pod.full)
        await edge.session(a_name("bob"))


async def test_frames_of_the_contract_only_ever_travel_as_text(edge: Edge) -> None:
    alice = await edge.session(a_name("alice"))
    alice.say([{"type": "ping"}, {"type": "nope", "id": 1}])
    for _ in range(2):
        assert (await alice.raw())[0] == TEXT
