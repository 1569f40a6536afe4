"""The first protocol of every connection: hot paths served, others handed over, and nobody keeps it waiting."""

import asyncio

import pytest

from tests.edge.edges import Edge, an_edge, eventually
from tests.edge.neighbours import Neighbours, a_name
from tests.edge.peers import Peer, Wire, commands, message, poll, request, upgrade
from tests.support.waiting import within
from whimbrel.edge.shell import frontdoor, visit
from whimbrel.edge.shell.httpwire import MAX_HEAD_BYTES
from whimbrel.edge.shell.poll import Poll
from whimbrel.protocol.limits import MAX_BODY_BYTES

pytestmark = pytest.mark.asyncio(loop_scope="module")
SHOP = "http://localhost:8000"
PING = {"type": "ping"}


def transports(token: str) -> bytes:
    return request("GET", "/v1/transports", authorization=f"Bearer {token}")


async def in_pieces(wire: Wire, data: bytes, *marks: int) -> None:
    """Send ``data`` cut at ``marks``, each piece read by the edge before the next one leaves."""
    for start, end in zip((0, *marks), (*marks, len(data)), strict=True):
        wire.send(data[start:end])
        await asyncio.sleep(0)
        await asyncio.sleep(0)


# One connection, many requests


async def test_a_connection_moves_between_the_front_door_and_fastapi_and_back(edge: Edge) -> None:
    user, order = a_name("alice"), f"orders:{a_name('o')}"
    token = edge.neighbours.token(user)
    wire = await edge.wire()
    history = {"type": "history", "id": 1, "channel": order}
    wire.send(poll(token, {order: None}))
    channels = (await wire.answer()).json["channels"]
    for number in range(3):
        await edge.neighbours.publish(order, number)
        wire.send(commands(token, history))
        [answer] = (await wire.answer()).json["frames"]
        assert len(answer["publications"]) == number + 1
        wire.send(poll(token, channels, wait=5))
        polled = (await wire.answer()).json
        assert [frame["data"] for frame in polled["frames"]] == [number]
        channels = polled["channels"]
        wire.send(transports(token))
        assert (await wire.answer()).json["transports"] == ["websocket", "sse", "poll"]
    wire.send(upgrade())
    assert (await wire.answer()).status == 101
    wire.send(message(PING))
    assert await Peer(wire).hear() == {"type": "pong"}


async def test_every_cut_of_a_poll_and_of_a_command_is_the_same_request(edge: Edge) -> None:
    token = edge.neighbours.token(a_name("alice"))
    for raw in (poll(token, {"inbox": None}), commands(token, {"type": "history", "id": 1, "channel": "inbox"})):
        wire = await edge.wire()
        wire.send(raw)
        whole = await wire.answer()
        assert whole.status == 200
        for mark in (1, 3, 5, 11, 15, 17, raw.index(b"\r\n\r\n") + 2, raw.index(b"\r\n\r\n") + 4, len(raw) - 1):
            await in_pieces(wire, raw, mark)
            assert (await wire.answer()).body == whole.body


async def test_a_poll_byte_by_byte_is_a_poll(edge: Edge) -> None:
    token = edge.neighbours.token(a_name("alice"))
    wire = await edge.wire()
    raw = poll(token, {"inbox": None})
    await in_pieces(wire, raw, *range(1, len(raw)))
    assert (await wire.answer()).status == 200


async def test_pipelined_polls_are_answered_in_their_order(edge: Edge) -> None:
    token = edge.neighbours.token(a_name("alice"))
    orders = [f"orders:{a_name('o')}" for _ in range(5)]
    wire = await edge.wire()
    wire.send(b"".join(poll(token, {order: None}) for order in orders))
    assert [list((await wire.answer()).json["channels"]) for _ in orders] == [[order] for order in orders]


async def test_what_comes_behind_a_waiting_poll_waits_for_its_answer(edge: Edge) -> None:
    token = edge.neighbours.token(a_name("alice"))
    order = f"orders:{a_name('o')}"
    wire = await edge.wire()
    wire.send(poll(token, {order: None}))
    channels = (await wire.answer()).json["channels"]
    wire.send(poll(token, channels, wait=20) + transports(token) + poll(token, channels))
    await eventually(lambda: edge.pod.counters.open["poll"])
    await edge.neighbours.publish(order, "now")
    assert [frame["data"] for frame in (await wire.answer()).json["frames"]] == ["now"]
    assert (await wire.answer()).json["cohort"] == "default"


async def test_too_much_behind_a_waiting_poll_is_left_to_the_kernel(edge: Edge) -> None:
    token = edge.neighbours.token(a_name("alice"))
    order = f"orders:{a_name('o')}"
    wire = await edge.wire()
    wire.send(poll(token, {order: None}))
    channels = (await wire.answer()).json["channels"]
    wire.send(poll(token, channels, wait=20))
    await eventually(lambda: edge.pod.counters.open["poll"])
    [waiting] = edge.pod.connections
    assert isinstance(waiting, Poll)
    door = waiting._door
    assert isinstance(door, frontdoor.FrontDoor)
    wire.send(b"x" * 4_000_000)
    await eventually(lambda: not door.transport.is_reading())
    assert len(door._buffer) < 1_000_000
    await edge.neighbours.publish(order, "now")
    assert (await wire.answer()).json["frames"]
    assert (await wire.answer()).status == 400


async def test_an_empty_line_before_a_request_is_ignored(edge: Edge) -> None:
    token = edge.neighbours.token(a_name("alice"))
    wire = await edge.wire()
    for raw in (poll(token, {"inbox": None}), transports(token)):
        wire.send(b"\r\n" + raw + b"\r\n")
        assert (await wire.answer()).status == 200


async def test_a_client_that_closes_after_its_answer_is_closed(edge: Edge) -> None:
    token = edge.neighbours.token(a_name("alice"))
    wire = await edge.wire()
    wire.send(request("GET", "/v1/poll?channel=inbox", authorization=f"Bearer {token}", connection="close"))
    answer = await wire.answer()
    assert (answer.status, answer.headers["connection"]) == (200, "close")
    assert await wire.ended() == b""


# Nobody keeps it waiting


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"GET /v1/po",
        b"GET /v1/poll HTTP/1.1\r\nHost: x\r\n",
        b"POST /v1/poll HTTP/1.1\r\nContent-Length: 100\r\n\r\n{",
        b"GET /v1/transports HTTP/1.1\r\nHost: x\r\n",
        b"POST /v1/commands HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
        b"POST /v1/commands HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
    ],
)
async def test_a_request_that_does_not_come_in_time_is_cut(neighbours: Neighbours, start: bytes) -> None:
    async with an_edge(neighbours, request_timeout_s=0.2) as edge:
        wire = await edge.wire()
        wire.send(start)
        assert await wire.ended() == b""
        assert len(edge.pod.wheel) == 0


async def test_the_next_request_of_a_connection_must_come_in_time_too_once_it_begins(neighbours: Neighbours) -> None:
    async with an_edge(neighbours, request_timeout_s=0.2) as edge:
        token = neighbours.token(a_name("alice"))
        for first in (poll(token, {"inbox": None}), transports(token)):
            wire = await edge.wire()
            wire.send(first)
            assert (await wire.answer()).status == 200
            wire.send(b"GET /v1/transports HTT")
            assert await wire.ended() == b""


async def test_the_body_of_the_next_request_must_come_in_time_too(neighbours: Neighbours) -> None:
    async with an_edge(neighbours, request_timeout_s=0.2) as edge:
        asked = poll(neighbours.token(a_name("alice")), {"inbox": None})
        wire = await edge.wire()
        wire.send(asked)
        assert (await wire.answer()).status == 200
        wire.send(asked[: asked.index(b"\r\n\r\n") + 4])
        assert await wire.ended() == b""


async def test_a_fault_in_its_turn_costs_one_client_and_not_the_time_of_the_others(
    neighbours: Neighbours, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticked = frontdoor.FrontDoor.tick
    faulty: list[frontdoor.FrontDoor] = []

    def tick(door: frontdoor.FrontDoor, *, now: float) -> None:
        if not faulty:
            faulty.append(door)
            raise ZeroDivisionError
        ticked(door, now=now)

    monkeypatch.setattr(frontdoor.FrontDoor, "tick", tick)
    async with an_edge(neighbours, request_timeout_s=0.2) as edge:
        for _ in range(2):
            wire = await edge.wire()
            wire.send(b"GET ")
            assert await wire.ended() == b""
        assert faulty


async def test_between_two_polls_a_connection_is_kept_longer_than_a_request_may_take(
    neighbours: Neighbours, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with an_edge(neighbours, request_timeout_s=0.2) as edge:
        token = neighbours.token(a_name("alice"))
        wire = await edge.wire()
        wire.send(poll(token, {"inbox": None}))
        assert (await wire.answer()).status == 200
        for _ in range(2):
            other = await edge.wire()
            other.send(b"GET ")
            await other.ended()
        wire.send(poll(token, {"inbox": None}))
        assert (await wire.answer()).status == 200, "though two others were cut meanwhile"
        monkeypatch.setattr(visit, "KEEP_ALIVE_S", 0.1)
        wire.send(poll(token, {"inbox": None}))
        assert (await wire.answer()).status == 200
        assert await wire.ended() == b""


async def test_a_poll_that_waits_is_not_cut(neighbours: Neighbours) -> None:
    async with an_edge(neighbours, request_timeout_s=0.1) as edge:
        token = neighbours.token(a_name("alice"))
        wire = await edge.wire()
        wire.send(poll(token, {"inbox": None}))
        channels = (await wire.answer()).json["channels"]
        wire.send(poll(token, channels, wait=0.5))
        assert (await wire.answer()).json["frames"] == []


async def test_a_head_without_an_end_is_refused_at_32_kib(edge: Edge) -> None:
    for start in (b"GET /v1/poll?", b"GET /v1/transports?"):
        wire = await edge.wire()
        wire.send(start + b"x" * MAX_HEAD_BYTES)
        answer = await wire.answer()
        assert (answer.status, answer.json["code"]) == (431, 112)


async def test_a_client_lost_while_its_poll_waits_leaves_nothing_behind(edge: Edge) -> None:
    token = edge.neighbours.token(a_name("alice"))
    order = f"orders:{a_name('o')}"
    for number in range(40):
        wire = await edge.wire()
        wire.send(poll(token, {order: {"epoch": "x", "offset": 0}, "inbox": None}, wait=20))
        if number % 2:
            channels = (await wire.answer()).json["channels"]
            wire.send(poll(token, channels, wait=20))
        if number % 4 > 1:
            await asyncio.sleep(0)
        wire.reset()
    await eventually(lambda: edge.nothing_left)


# Refused


@pytest.mark.parametrize(
    ("raw", "status", "code"),
    [
        (b"POST /v1/poll HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 411, 107),
        (b"POST /v1/poll HTTP/1.1\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n", 417, 107),
        (b"POST /v1/poll HTTP/1.1\r\nContent-Length: 300000\r\n\r\n" + b"x" * 300_000, 413, 112),
        (b"GET /v1/poll HTTP/1.1\r\nA b: c\r\n\r\n", 400, 107),
        (b"GET /v1/ws HTTP/1.1\r\nHost: x\r\n\r\n", 426, 107),
        (upgrade(sec_websocket_protocol="chat"), 400, 4505),
        (upgrade(origin="https://evil.example"), 403, 103),
        (request("GET", "/v1/poll", origin="https://evil.example"), 403, 103),
        (request("GET", "/v1/transports", origin="https://evil.example"), 403, 103),
        (request("GET", "/v1/poll"), 401, 101),
        (request("GET", "/v1/poll", authorization="Bearer forged"), 401, 101),
        (request("GET", "/v1/transports"), 401, 101),
        (upgrade().replace(b"/v1/ws", b"/v1/ws?ticket=abc"), 401, 101),
        (upgrade().replace(b"/v1/ws", b"/v1/ws?ticket=" + b"x" * 65), 401, 101),
        (upgrade(authorization="Basic x").replace(b"/v1/ws", b"/v1/ws?ticket=abc"), 401, 101),
        (request("GET", "/v1/sse?ticket=abc"), 401, 101),
        (request("POST", "/v1/poll", b"nope", authorization="Bearer x"), 400, 107),
        (request("POST", "/v1/poll", b'{"channels":{},"wait":99}', authorization="Bearer x"), 400, 107),
        (request("GET", "/v1/poll?wait=nan&channel=inbox", authorization="Bearer x"), 400, 107),
        (request("GET", "/v1/poll?wait=soon&channel=inbox", authorization="Bearer x"), 400, 107),
        (request("GET", "/v1/poll?cursor=forged", authorization="Bearer x"), 400, 107),
        (request("GET", "/v1/poll?limit=0", authorization="Bearer x"), 400, 107),
        (request("GET", "/v1/nothing"), 404, 107),
        (request("DELETE", "/v1/poll"), 405, 107),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, 107),
    ],
)
async def test_what_is_refused_is_told_why_as_a_problem(edge: Edge, raw: bytes, status: int, code: int) -> None:
    answer = await edge.ask(raw)
    assert (answer.status, answer.json["code"], answer.json["status"]) == (status, code, status)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json["detail"]
    assert answer.json["slug"]


async def test_who_is_still_sending_what_was_refused_gets_the_answer_not_a_reset(edge: Edge) -> None:
    wire = await edge.wire()
    wire.send(b"POST /v1/poll HTTP/1.1\r\nContent-Length: 20000000\r\n\r\n")
    for _ in range(200):
        wire.send(b"x" * 100_000)  # more than the kernel keeps for us
        await within(wire.writer.drain())
    answer = await wire.answer()
    assert answer.status == 413
    assert await wire.ended() == b""
    await wire.close()
    await eventually(lambda: edge.nothing_left)


async def test_who_does_not_close_behind_a_refusal_is_cut(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visit, "LINGER_S", 0.1)
    wire = await edge.wire()
    wire.send(request("GET", "/v1/poll"))
    assert (await wire.answer()).status == 401
    assert await wire.ended() == b""
    await eventually(lambda: edge.nothing_left)


async def test_the_body_of_a_refused_request_is_not_taken_for_the_next_one(edge: Edge) -> None:
    """Request smuggling: a proxy that shares the connection would hand the answer to somebody else."""
    token = edge.neighbours.token(a_name("alice"))
    smuggled = transports(token) + poll(token, {"inbox": None})
    for origin, status in (("https://evil.example", 403), (SHOP, 422)):
        wire = await edge.wire()
        head = request(
            "POST", "/v1/commands", origin=origin, content_type="application/json", authorization=f"Bearer {token}"
        )
        wire.send(head.replace(b"Content-Length: 0", b"Content-Length: %d" % len(smuggled)))
        if status == 403:
            assert (await wire.answer()).status == 403, "before the body was read"
        wire.send(smuggled)
        if status != 403:
            assert (await wire.answer()).status in (400, 422)
        wire.send(transports(token))
        assert (await wire.answer()).status == 200
        wire.send(poll(token, {"inbox": None}))
        assert "channels" in (await wire.answer()).json


async def test_a_body_over_the_limit_is_refused_by_fastapi_too(edge: Edge) -> None:
    token = edge.neighbours.token(a_name("alice"))
    answer = await edge.ask(commands(token, {"type": "ping", "pad": "x" * MAX_BODY_BYTES}))
    assert (answer.status, answer.json["code"]) == (413, 112)


async def test_a_fault_of_ours_answers_500_and_costs_one_connection(
    edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = edge.neighbours.token(a_name("alice"))

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    for place in ("start", "prepare"):
        with monkeypatch.context() as patch:
            patch.setattr(type(edge.pod.openings), place, broken)
            answer = await edge.ask(poll(token, {f"orders:{a_name('o')}": None}))
            assert (answer.status, answer.json["code"]) == (500, 100)
    with monkeypatch.context() as patch:
        patch.setattr(type(edge.pod.gatekeeper), "identify", broken)
        answer = await edge.ask(upgrade(authorization="Bearer x"))
        assert (answer.status, answer.json["code"]) == (500, 100)
    await eventually(lambda: edge.nothing_left)
    assert (await edge.ask(poll(token, {"inbox": None}))).status == 200
