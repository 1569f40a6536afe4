"""Polls on one connection after the other, and many at a time: each gets its own, whatever they share."""

import json

import pytest

from tests.edge.edges import Edge, eventually
from tests.edge.neighbours import NAMESPACES, Neighbours, a_name
from tests.edge.peers import Wire, poll, request
from whimbrel.edge.shell.asks import REPEATED_BYTES, read_post
from whimbrel.edge.shell.frontdoor import MAX_REPEATED_HEAD_BYTES, FrontDoor
from whimbrel.edge.shell.poll import Poll
from whimbrel.protocol.channels import Channel
from whimbrel.protocol.namespaces import Groups, Namespace
from whimbrel.protocol.rpc import TokenVerdict

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def positions(wire: Wire, token: str, *channels: str) -> dict[str, object]:
    """Return where a client who asks for ``channels`` for the first time is told to go on."""
    wire.send(poll(token, dict.fromkeys(channels)))
    found: dict[str, object] = (await wire.answer()).json["channels"]
    return found


async def data(wire: Wire) -> list[object]:
    return [frame["data"] for frame in (await wire.answer()).json["frames"]]


async def waiting(edge: Edge, number: int = 1) -> None:
    await eventually(lambda: edge.pod.counters.open["poll"] == number)


async def waiting_in(edge: Edge, channel: str) -> None:
    lives = edge.pod.hub.channels
    await eventually(lambda: (live := lives.get(Channel.parse(channel))) is not None and live.waiters)


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
    await eventually(lambda: group not in (edge.pod.users.watch(user, now=edge.pod.now()).groups or ()))
    wire.send(poll(token, channels, wait=20))
    [told] = (await wire.answer()).json["frames"]
    assert told["error"]["slug"] == "permission_denied"


async def test_a_namespace_that_closes_between_two_polls_is_refused(edge: Edge) -> None:
    token, wire, order = edge.neighbours.token(a_name("alice")), await edge.wire(), f"orders:{a_name('o')}"
    channels = await positions(wire, token, order)
    try:
        await edge.neighbours.rule("orders", Namespace(durable=True, subscribe=Groups(groups=("staff",))))
        await eventually(lambda: edge.pod.rules["orders"].subscribe != "authenticated")
        wire.send(poll(token, channels, wait=20))
        [told] = (await wire.answer()).json["frames"]
        assert told["error"]["slug"] == "permission_denied"
    finally:
        await edge.neighbours.rule("orders", NAMESPACES["orders"])
        await eventually(lambda: edge.pod.rules["orders"].subscribe == "authenticated")


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
    assert not edge.pod.connections, "it does not wait"
    wire.send(request("GET", "/v1/transports", authorization=f"Bearer {token}"))
    assert (await wire.answer()).status == 200
    assert not watched.devices


async def test_a_group_joined_between_two_polls_is_told_by_the_next(edge: Edge) -> None:
    user, group, order = a_name("alice"), a_name("g"), f"orders:{a_name('o')}"
    token, wire = edge.neighbours.token(user), await edge.wire()
    channels = await answered_once(edge, wire, token, order)
    await edge.neighbours.join(user, group)
    await eventually(lambda: group in (edge.pod.users.watch(user, now=edge.pod.now()).groups or ()))
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

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(Poll, "_wait", broken)
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


# The channels of groups, which nobody asks for


async def test_an_answer_tells_of_a_group_that_the_client_does_not_know_yet_and_what_came_since(edge: Edge) -> None:
    user, group, order = a_name("alice"), a_name("vip"), f"orders:{a_name('o')}"
    token, wire = edge.neighbours.token(user), await edge.wire()
    channels = await positions(wire, token, order)
    assert set(channels) == {order}
    await edge.neighbours.join(user, group)
    wire.send(poll(token, channels, wait=20))
    await waiting_in(edge, f"group:{group}")
    await edge.neighbours.publish(f"group:{group}", "member")
    answer = (await wire.answer()).json
    assert [(frame["type"], frame["channel"]) for frame in answer["frames"]] == [
        ("subscribed", f"group:{group}"),
        ("publication", f"group:{group}"),
    ]
    assert set(answer["channels"]) == {order, f"group:{group}"}


async def test_a_poll_is_answered_when_its_user_joins_or_leaves_and_goes_on_from_there(edge: Edge) -> None:
    user, group, order = a_name("alice"), a_name("vip"), f"orders:{a_name('o')}"
    token, wire = edge.neighbours.token(user), await edge.wire()
    wire.send(poll(token, await positions(wire, token, order), wait=20))
    await waiting(edge)
    await edge.neighbours.join(user, group)
    joined = (await wire.answer()).json
    assert [(frame["type"], frame["channel"]) for frame in joined["frames"]] == [("subscribed", f"group:{group}")]
    await edge.neighbours.publish(f"group:{group}", "between two polls")
    wire.send(poll(token, joined["channels"], wait=20))
    received = (await wire.answer()).json
    assert [frame["data"] for frame in received["frames"]] == ["between two polls"]
    wire.send(poll(token, received["channels"], wait=20))
    await waiting(edge)
    await edge.neighbours.leave(user, group)
    left = (await wire.answer()).json
    assert [(frame["type"], frame["channel"], frame["code"]) for frame in left["frames"]] == [
        ("unsubscribed", f"group:{group}", 103)
    ]
    assert set(left["channels"]) == {order}


async def test_who_does_not_take_up_a_group_is_told_again_and_still_waits(edge: Edge) -> None:
    user, group, order = a_name("alice"), a_name("vip"), f"orders:{a_name('o')}"
    token, wire = edge.neighbours.token(user, groups=(group,)), await edge.wire()
    channels = {order: (await positions(wire, token, order))[order]}
    for number in range(2):
        wire.send(poll(token, channels, wait=20))
        await waiting_in(edge, order)
        await edge.neighbours.publish(order, number)
        answer = (await wire.answer()).json
        assert [frame["type"] for frame in answer["frames"]] == ["subscribed", "publication"]
        channels = {order: answer["channels"][order]}


# Interval polls


def interval(token: str, *channels: str, method: str = "GET", **headers: str) -> bytes:
    query = "&".join(f"channel={name}" for name in channels)
    return request(method, f"/v1/poll?{query}", authorization=f"Bearer {token}", **headers)


async def test_an_interval_poll_goes_on_from_its_etag_and_is_304_where_nothing_is_new(edge: Edge) -> None:
    user, group, order = a_name("alice"), a_name("vip"), f"orders:{a_name('o')}"
    token = edge.neighbours.token(user, groups=(group,))
    first = await edge.ask(interval(token, order))
    assert {frame["channel"] for frame in first.json["frames"]} == {order, f"group:{group}"}
    nothing = await edge.ask(interval(token, order, if_none_match=first.headers["etag"]))
    assert (nothing.status, nothing.body, nothing.headers["etag"]) == (304, b"", first.headers["etag"])
    await edge.neighbours.publish(f"group:{group}", "for members")
    news = await edge.ask(interval(token, order, if_none_match=first.headers["etag"]))
    assert [frame["data"] for frame in news.json["frames"]] == ["for members"]
    for answer in (first, nothing, news):
        assert answer.headers["cache-control"] == "private, no-cache"
        assert answer.headers["vary"] == "Origin"


async def test_who_keeps_nothing_yet_is_never_told_that_it_is_unchanged(edge: Edge) -> None:
    token = edge.neighbours.token(a_name("alice"))
    answer = await edge.ask(interval(token))
    assert (answer.status, answer.json["frames"]) == (200, []), "of no channel, and in no group"
    again = await edge.ask(interval(token, if_none_match=answer.headers["etag"]))
    assert again.status == 304


async def test_a_head_is_the_get_without_its_body(edge: Edge) -> None:
    order, token = f"orders:{a_name('o')}", edge.neighbours.token(a_name("alice"))
    got = await edge.ask(interval(token, order))
    wire = await edge.wire()
    wire.send(interval(token, order, method="HEAD") + interval(token, order))
    head = await wire.reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert f"content-length: {got.headers['content-length']}\r\n".encode() in head
    assert f"etag: {got.headers['etag']}".encode() in head
    assert (await wire.answer()).body == got.body, "the next request on the connection is answered"


async def test_an_interval_poll_over_more_channels_than_a_cursor_holds_is_refused_with_the_way_out(edge: Edge) -> None:
    channels = [f"orders:{a_name('x' * 100)}" for _ in range(40)]
    answer = await edge.ask(interval(edge.neighbours.token(a_name("alice")), *channels))
    assert (answer.status, answer.json["code"]) == (400, 106)
    assert "POST /v1/poll" in answer.json["detail"]


@pytest.mark.parametrize(("path", "allowed"), [("poll", "GET, HEAD, POST"), ("sse", "GET, POST"), ("ws", "GET")])
async def test_another_method_is_told_which_ones_there_are(edge: Edge, path: str, allowed: str) -> None:
    answer = await edge.ask(request("DELETE", f"/v1/{path}"))
    assert (answer.status, answer.headers["allow"]) == (405, f"{allowed}, OPTIONS")


@pytest.mark.parametrize("path", ["poll", "sse"])
async def test_a_page_may_ask_with_the_headers_of_the_contract(edge: Edge, path: str) -> None:
    asked = {
        "origin": "http://localhost:8000",
        "access_control_request_method": "POST",
        "access_control_request_headers": "authorization,content-type,if-none-match,last-event-id",
    }
    answer = await edge.ask(request("OPTIONS", f"/v1/{path}", **asked))
    assert answer.status == 200
    assert answer.headers["access-control-allow-origin"] == "http://localhost:8000"
