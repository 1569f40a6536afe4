"""Server-Sent Events: the same session as on a WebSocket, downwards only."""

import asyncio
import socket
from typing import Any

import pytest

from tests.edge.edges import Edge, an_edge, eventually
from tests.edge.neighbours import Neighbours, a_name
from tests.edge.peers import Stream, get_stream, post_stream, request
from whimbrel.edge.shell.drain import drain
from whimbrel.edge.shell.eventstream import EventStream
from whimbrel.protocol import subjects
from whimbrel.protocol.limits import MAX_FRAME_BYTES
from whimbrel.protocol.positions import Position, decode_cursor, encode_cursor
from whimbrel.protocol.rpc import ResumeKey

pytestmark = pytest.mark.asyncio(loop_scope="module")
SHOP = "http://localhost:8000"
PAGE = "x" * 4096


async def a_stream(edge: Edge, user: str, *channels: str, **headers: str) -> tuple[Stream, dict[str, Any]]:
    """Return a stream that is open, as a plain EventSource asks for it, and its `connected`."""
    stream = await edge.stream(get_stream(edge.neighbours.token(user), *channels, **headers))
    assert stream.head.status == 200, stream.head
    return stream, await stream.hear()


# How it opens


async def test_a_stream_begins_with_connected_and_the_inbox_is_always_there(edge: Edge) -> None:
    user, order = a_name("alice"), f"orders:{a_name('o')}"
    stream, connected = await a_stream(edge, user, order)
    assert stream.head.headers["content-type"] == "text/event-stream"
    assert stream.head.headers["connection"] == "close"
    assert (connected["type"], connected["user"]) == ("connected", user)
    assert set(connected["channels"]) == {"inbox", order}
    assert set(decode_cursor(stream.cursor).of(user)) == {"inbox", order}
    assert stream.retry is not None
    assert edge.pod.counters.open["sse"] == 1


async def test_a_post_carries_a_connect_frame_with_its_positions(edge: Edge) -> None:
    user, order = a_name("alice"), f"orders:{a_name('o')}"
    token = edge.neighbours.token(user)
    await edge.publish(order, 1)
    first = await edge.stream(post_stream(token, channels={order: None}))
    standing = (await first.hear())["channels"][order]
    await edge.publish(order, 2, 3)
    position = {"epoch": standing["epoch"], "offset": standing["offset"]}
    second = await edge.stream(post_stream(None, token=token, channels={order: position}))
    recovered = (await second.hear())["channels"][order]
    assert recovered["recovered"] is True
    assert [each["data"] for each in recovered["publications"]] == [2, 3]


async def test_a_post_may_come_back_by_its_grant_alone(edge: Edge) -> None:
    keys = edge.pod.gatekeeper._keys
    await edge.neighbours.resume_keys(ResumeKey(kid="k1", secret="s" * 32, created=1))
    await eventually(lambda: b"k1" in keys.get(subjects.RESUME_KEYS, b""))
    user = a_name("alice")
    first = await edge.stream(post_stream(edge.neighbours.token(user)))
    grant = (await first.hear())["resume"]
    edge.neighbours.verified.clear()
    second = await edge.stream(post_stream(None, resume=grant))
    assert (await second.hear())["user"] == user
    assert not edge.neighbours.verified
    await edge.neighbours.resume_keys()  # other tests of this bus expect none
    await eventually(lambda: b"k1" not in keys.get(subjects.RESUME_KEYS, b""))


@pytest.mark.parametrize(
    ("asked", "status", "code"),
    [
        (get_stream(None, "orders:1"), 401, 101),
        (get_stream("nobody's", "orders:1"), 401, 101),
        (post_stream("nobody's"), 401, 101),
        (post_stream(None), 401, 101),
        (get_stream("any", "orders:1", origin="https://elsewhere.example"), 403, 103),
        (get_stream("any", "orders:1", last_event_id="forged"), 400, 107),
        (get_stream("any", *(f"orders:{n}" for n in range(129))), 400, 107),
        (request("POST", "/v1/sse", b"not json", authorization="Bearer any"), 400, 107),
        (request("POST", "/v1/sse", b"[]", authorization="Bearer any"), 400, 107),
        (request("POST", "/v1/sse", b'{"type":"ping"}', authorization="Bearer any"), 400, 107),
        (request("POST", "/v1/sse", b'{"type":"connect"}', authorization="Bearer any"), 400, 107),
        (request("POST", "/v1/sse", b" " * (MAX_FRAME_BYTES + 1), authorization="Bearer any"), 413, 112),
    ],
)
async def test_what_opens_no_stream_is_refused_before_it_begins(
    edge: Edge, asked: bytes, status: int, code: int
) -> None:
    answer = await edge.ask(asked)
    assert (answer.status, answer.json["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert edge.pod.counters.accepted["sse"] == 0


async def test_a_refused_channel_is_told_in_connected_and_the_others_are_served(edge: Edge) -> None:
    order = f"orders:{a_name('o')}"
    stream, connected = await a_stream(edge, a_name("alice"), order, "nope:1", "user:bob", "orders:*")
    codes = {name: each.get("error", {}).get("code") for name, each in connected["channels"].items()}
    assert codes == {"inbox": None, order: None, "nope:1": 102, "user:bob": 103, "orders:*": 107}
    await edge.publish(order, "served")
    assert await stream.data(1) == ["served"]


async def test_a_page_of_an_allowed_origin_may_read_the_stream(edge: Edge) -> None:
    stream, _ = await a_stream(edge, a_name("alice"), origin=SHOP)
    assert stream.head.headers["access-control-allow-origin"] == SHOP
    assert stream.head.headers["vary"] == "Origin"


async def test_a_full_pod_answers_503(neighbours: Neighbours) -> None:
    async with an_edge(neighbours, max_connections=1) as edge:
        await a_stream(edge, a_name("alice"))
        answer = await edge.ask(get_stream(neighbours.token(a_name("bob"))))
        assert (answer.status, answer.json["code"]) == (503, 4008)
        assert answer.headers["retry-after"]


async def test_a_session_that_is_not_open_in_time_is_answered_503_instead_of_a_stream(neighbours: Neighbours) -> None:
    async with an_edge(neighbours, connect_timeout_s=0.2) as edge:
        neighbours.before_resolve = asyncio.Event()
        token = neighbours.token(a_name("alice"))
        await edge.pod.gatekeeper._verify.ask(token)
        edge.pod.openings.await_bus = lambda *_, **__: True  # type: ignore[method-assign]  # and nobody is ever told
        neighbours.before_resolve.set()
        answer = await edge.ask(get_stream(token, f"orders:{a_name('o')}"))
        assert (answer.status, answer.json["code"]) == (503, 4006)
        assert "access-control-allow-origin" not in answer.headers


# What it carries


async def test_publications_arrive_one_event_each_with_the_cursor_behind_them(edge: Edge) -> None:
    user, order = a_name("alice"), f"orders:{a_name('o')}"
    stream, _ = await a_stream(edge, user, order)
    offsets = await edge.publish(order, 1, 2, 3)
    for number, offset in enumerate(offsets, 1):
        frame = await stream.hear()
        assert (frame["data"], frame["offset"]) == (number, offset)
        position = decode_cursor(stream.cursor).of(user)[order]
        assert position is not None
        assert position.offset == offset


async def test_an_event_source_that_reconnects_gets_what_it_missed_by_its_last_event_id(edge: Edge) -> None:
    user, order = a_name("alice"), f"orders:{a_name('o')}"
    stream, _ = await a_stream(edge, user, order)
    await edge.publish(order, 1)
    await edge.publish(f"user:{user}", "a")
    await stream.data(2)
    stream.wire.reset()
    await edge.publish(order, 2)
    await edge.publish(f"user:{user}", "b")
    _, connected = await a_stream(edge, user, order, last_event_id=stream.cursor)
    missed = {
        name: (each["recovered"], [publication["data"] for publication in each["publications"]])
        for name, each in connected["channels"].items()
    }
    assert missed == {order: (True, [2]), "inbox": (True, ["b"])}


async def test_a_new_event_source_carries_the_cursor_in_its_address(edge: Edge) -> None:
    user, order = a_name("alice"), f"orders:{a_name('o')}"
    stream, _ = await a_stream(edge, user, order)
    await edge.publish(order, 1)
    asked = f"/v1/sse?cursor={stream.cursor}"
    again = await edge.stream(request("GET", asked, authorization=f"Bearer {edge.neighbours.token(user)}"))
    recovered = (await again.hear())["channels"][order]
    assert [each["data"] for each in recovered["publications"]] == [1]


async def test_a_cursor_of_another_user_is_none(edge: Edge) -> None:
    order = f"orders:{a_name('o')}"
    stream, _ = await a_stream(edge, a_name("alice"), order)
    _, connected = await a_stream(edge, a_name("bob"), order, last_event_id=stream.cursor)
    assert all("recovered" not in each for each in connected["channels"].values())


async def test_an_epoch_that_is_gone_is_told_and_the_client_reloads(edge: Edge) -> None:
    user, order = a_name("alice"), f"orders:{a_name('o')}"
    old = encode_cursor(user, {order: Position(epoch="old", offset=1)})
    _, connected = await a_stream(edge, user, order, last_event_id=old)
    assert connected["channels"][order]["recovered"] is False


async def test_more_than_fits_into_connected_follows_as_publications(edge: Edge) -> None:
    user, order = a_name("alice"), f"orders:{a_name('o')}"
    stream, _ = await a_stream(edge, user, order)
    stream.wire.reset()
    count = 200
    *_, last = await edge.publish(order, *([number, PAGE] for number in range(count)))
    again, connected = await a_stream(edge, user, order, last_event_id=stream.cursor)
    assert again.cursor == ""  # it would claim what has not come yet
    inside = [each["data"][0] for each in connected["channels"][order]["publications"]]
    assert 0 < len(inside) < count
    behind = [data[0] for data in await again.data(count - len(inside))]
    assert inside + behind == list(range(count))
    position = decode_cursor(again.cursor).of(user)[order]
    assert position is not None
    assert position.offset == last


async def test_an_ephemeral_channel_is_carried_without_positions(edge: Edge) -> None:
    user, typing = a_name("alice"), f"typing:{a_name('t')}"
    stream, connected = await a_stream(edge, user, typing)
    assert connected["channels"][typing] == {"publications": []}
    before = stream.cursor
    await edge.neighbours.say_live(typing, "…")
    frame = await stream.until("publication")
    assert (frame["data"], "offset" in frame) == ("…", False)
    assert stream.cursor == before


async def test_a_stream_and_a_websocket_of_one_channel_get_the_same(edge: Edge) -> None:
    order = f"orders:{a_name('o')}"
    stream, _ = await a_stream(edge, a_name("alice"), order)
    peer = await edge.session(a_name("bob"), order)
    await edge.publish(order, 1, 2)
    heard = [await stream.until("publication") for _ in range(2)]
    assert heard == [await peer.hear() for _ in range(2)]
    assert edge.pod.counters.open["sse"] == edge.pod.counters.open["websocket"] == 1


async def test_a_stream_follows_the_groups_of_its_user(edge: Edge) -> None:
    user, group = a_name("alice"), a_name("vip")
    stream, _ = await a_stream(edge, user)
    await edge.neighbours.join(user, group)
    assert (await stream.until("subscribed"))["channel"] == f"group:{group}"
    assert set(decode_cursor(stream.cursor).of(user)) == {"inbox", f"group:{group}"}
    await edge.publish(f"group:{group}", "member")
    assert await stream.data(1) == ["member"]
    await edge.neighbours.leave(user, group)
    assert (await stream.until("unsubscribed"))["channel"] == f"group:{group}"
    await edge.publish(f"user:{user}", "goodbye")
    await stream.data(1)
    assert set(decode_cursor(stream.cursor).of(user)) == {"inbox"}


async def test_a_group_joined_later_goes_on_from_the_cursor_though_nobody_names_it(edge: Edge) -> None:
    user, group, order = a_name("alice"), a_name("vip"), f"orders:{a_name('o')}"
    stream, _ = await a_stream(edge, user, order)
    await edge.neighbours.join(user, group)
    await stream.until("subscribed")
    await edge.publish(f"group:{group}", "missed")
    _, connected = await a_stream(edge, user, order, last_event_id=stream.cursor)
    recovered = connected["channels"][f"group:{group}"]
    assert (recovered["recovered"], [each["data"] for each in recovered["publications"]]) == (True, ["missed"])


# How it ends


async def test_a_silent_stream_is_kept_alive_by_comments_and_never_asked_to_answer(neighbours: Neighbours) -> None:
    async with an_edge(neighbours, ping_s=0.1, pong_s=0.1) as edge:
        order = f"orders:{a_name('o')}"
        stream, _ = await a_stream(edge, a_name("alice"), order)
        reading = asyncio.create_task(stream.hear())
        await eventually(lambda: stream.comments >= 3)
        await neighbours.publish(order, "alive")
        assert (await reading)["data"] == "alive"


async def test_the_kernel_gives_up_on_a_client_that_acknowledges_nothing(edge: Edge) -> None:
    await a_stream(edge, a_name("alice"))
    [stream] = [each for each in edge.pod.connections if isinstance(each, EventStream)]
    plain = stream.transport.get_extra_info("socket")
    assert plain.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 40_000


async def test_a_client_that_goes_leaves_nothing_behind(edge: Edge) -> None:
    stream, _ = await a_stream(edge, a_name("alice"), f"orders:{a_name('o')}")
    await stream.wire.close()
    await eventually(lambda: edge.nothing_left)
    assert edge.pod.counters.closed["client"] == 1


async def test_an_expired_token_ends_the_stream_with_the_code(neighbours: Neighbours) -> None:
    async with an_edge(neighbours) as edge:
        token = neighbours.token(a_name("alice"), ttl=2)
        stream = await edge.stream(get_stream(token))
        assert (await stream.until("expiring"))["in"] <= 2
        [session] = [each.session for each in edge.pod.connections if isinstance(each, EventStream)]
        assert session.identity is not None
        [carrier] = edge.pod.connections
        assert isinstance(carrier, EventStream)
        carrier._perform(session.tick(now=edge.pod.now(), wall=session.identity.expires + 26.0))
        disconnect = await stream.until("disconnect")
        assert (disconnect["code"], disconnect["reconnect"]) == (4010, True)
        assert await stream.wire.ended() == b""


async def test_a_leaving_pod_says_when_to_move_in_words_an_event_source_understands(neighbours: Neighbours) -> None:
    async with an_edge(neighbours) as edge:
        order = f"orders:{a_name('o')}"
        user = a_name("alice")
        stream, _ = await a_stream(edge, user, order)
        draining = asyncio.create_task(drain(edge.pod, 1))
        told = await stream.until("disconnect")
        assert (told["code"], told["reconnect"]) == (4000, True)
        if told["after_ms"]:
            assert stream.retry == told["after_ms"]
        await neighbours.publish(order, "still here")
        assert (await stream.until("publication"))["data"] == "still here"
        assert set(decode_cursor(stream.cursor).of(user)) == {"inbox", order}
        await stream.wire.ended()
        await stream.wire.close()
        await draining
        await eventually(lambda: edge.nothing_left)
        assert edge.pod.counters.closed["draining"] == 1


# A slow one


async def test_a_slow_reader_falls_behind_then_gets_all_that_it_missed_in_order(neighbours: Neighbours) -> None:
    async with an_edge(neighbours, outbox_bytes=64 * 1024, ping_s=1) as edge:
        user, order = a_name("slow"), f"orders:{a_name('o')}"
        stream = await edge.stream(get_stream(neighbours.token(user), order), receive_buffer=4096)
        await stream.hear()
        stream.wire.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a ReadTransport too
        published = 0
        while not edge.pod.counters.fell_behind:
            await neighbours.publish(order, [published, PAGE])
            published += 1
        for _ in range(20):
            await neighbours.publish(order, [published, PAGE])
            published += 1
        stream.wire.writer.transport.resume_reading()  # type: ignore[attr-defined]
        assert [each[0] for each in await stream.data(published)] == list(range(published))
        await neighbours.publish(order, ["live again"])
        assert await stream.data(1) == [["live again"]]


async def test_a_reader_that_takes_nothing_is_closed_with_4002(neighbours: Neighbours) -> None:
    async with an_edge(neighbours, outbox_bytes=64 * 1024, ping_s=1, stuck_s=0.3) as edge:
        order = f"orders:{a_name('o')}"
        stream = await edge.stream(get_stream(neighbours.token(a_name("stuck")), order), receive_buffer=4096)
        await stream.hear()
        stream.wire.writer.transport.pause_reading()  # type: ignore[attr-defined]
        while not edge.pod.counters.fell_behind:
            await neighbours.publish(order, PAGE)
        await eventually(lambda: edge.pod.counters.closed["slow_consumer"] == 1)
        await eventually(lambda: edge.nothing_left)


async def test_more_streams_than_a_slice_get_each_publication_in_order(edge: Edge, monkeypatch: Any) -> None:
    monkeypatch.setattr("whimbrel.edge.shell.fanout.SLICE", 2)
    order = f"orders:{a_name('o')}"
    streams = [(await a_stream(edge, a_name("alice"), order))[0] for _ in range(5)]
    for number in range(3):
        await edge.publish(order, number)
    for stream in streams:
        assert await stream.data(3) == [0, 1, 2]
