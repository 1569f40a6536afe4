"""What is meant to harm: it ends with a clear code, costs what it says here, and harms nobody else."""

import asyncio
import json

import pytest

from tests.edge.edges import Edge, an_edge, eventually
from tests.edge.neighbours import Neighbours, a_name
from tests.edge.peers import PING, TEXT, Wire, commands, masked, message, poll, request, upgrade
from tests.support.waiting import within
from whimbrel.edge.shell.frontdoor import MAX_REPEATED_HEAD_BYTES
from whimbrel.edge.shell.httpwire import MAX_HEAD_BYTES
from whimbrel.protocol.limits import MAX_BODY_BYTES, MAX_CHANNELS, MAX_FRAME_BYTES, MAX_FRAMES_PER_MESSAGE

pytestmark = pytest.mark.asyncio(loop_scope="module")
CONTINUED = 0x0
SHOP = "http://localhost:8000"


# Request smuggling: two readings of where a request ends


@pytest.mark.parametrize("target", ["/v1/poll", "/v1/sse", "/v1/commands", "/v1/transports", "/v1/nothing"])
@pytest.mark.parametrize(
    "framing",
    [
        "Content-Length: 4\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 4",
        "Content-Length: 4\r\nContent-Length: 5",
        "Content-Length: 4, 5",
        "Content-Length: +4",
        "Content-Length: 0x4",
        "Content-Length: 4\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding:\x0bchunked",
        "X: y\r\n Content-Length: 4",
    ],
)
async def test_a_request_that_could_end_in_two_places_is_refused_and_nothing_behind_it_is_read(
    edge: Edge, target: str, framing: str
) -> None:
    wire = await edge.wire()
    smuggled = b"0\r\n\r\nGET /v1/smuggled HTTP/1.1\r\nHost: edge\r\n\r\n"
    wire.send(f"POST {target} HTTP/1.1\r\nHost: edge\r\n{framing}\r\n\r\n".encode() + smuggled)
    answer = await wire.answer()
    assert answer.status in (400, 411)
    assert await wire.ended() == b""
    await wire.close()


async def test_a_head_of_its_own_length_does_not_lend_it_to_the_one_before(edge: Edge) -> None:
    """A connection remembers the last head that was short: what it says must be its own, whatever came between."""
    token = edge.neighbours.token(a_name("alice"))
    wire = await edge.wire()
    short = poll(token, {"inbox": None})
    long = poll(token, {"inbox": None}, limit=7).replace(
        b"Host:", b"X: " + b"x" * MAX_REPEATED_HEAD_BYTES + b"\r\nHost:"
    )
    for raw in (short, long, short, long, long, short):
        wire.send(raw + raw)
        for _ in range(2):
            assert (await wire.answer()).status == 200


async def test_pipelined_requests_behind_fastapi_are_answered_in_order_too(edge: Edge) -> None:
    token = edge.neighbours.token(a_name("alice"))
    wire = await edge.wire()
    history = [commands(token, {"type": "history", "id": number, "channel": "inbox"}) for number in range(1, 51)]
    wire.send(b"".join(history))
    answers = [(await wire.answer()).json["frames"][0]["id"] for _ in range(50)]
    assert answers == list(range(1, 51))


# Large heads


@pytest.mark.parametrize("target", ["/v1/ws", "/v1/poll", "/v1/sse", "/v1/transports"])
@pytest.mark.parametrize(
    "headers",
    [
        pytest.param(b"X: " + b"x" * 65_536, id="one header of 64 KiB"),
        pytest.param(b"\r\n".join(b"X-%d: x" % number for number in range(6000)), id="6,000 headers"),
        pytest.param(b"Cookie: " + b"a=b; " * 13_000, id="64 KiB of cookies"),
    ],
)
async def test_a_head_over_32_kib_is_refused_with_431(edge: Edge, target: str, headers: bytes) -> None:
    assert len(headers) > MAX_HEAD_BYTES
    answer = await edge.ask(b"GET %b HTTP/1.1\r\nHost: edge\r\n%b\r\n\r\n" % (target.encode(), headers))
    assert (answer.status, answer.json["code"], answer.json["slug"]) == (431, 112, "too_large")


async def test_a_head_of_many_headers_within_the_limit_is_read(edge: Edge) -> None:
    token = edge.neighbours.token(a_name("alice"))
    headers = b"".join(b"a%d: b\r\n" % number for number in range(2500))
    wire = await edge.wire()
    for raw in (poll(token, {"inbox": None}), request("GET", "/v1/transports", authorization=f"Bearer {token}")):
        wire.send(raw.replace(b"\r\n", b"\r\n" + headers, 1))
        assert (await wire.answer()).status == 200


async def test_a_target_of_30_kib_is_read_or_refused_never_a_fault(edge: Edge) -> None:
    token = edge.neighbours.token(a_name("alice"))
    for query in (
        "channel=" + "x" * 30_000,
        "&".join(["channel=inbox"] * 2000),
        "cursor=" + "A" * 30_000,
        "%" * 30_000,
    ):
        answer = await edge.ask(request("GET", f"/v1/poll?{query}", authorization=f"Bearer {token}"))
        assert answer.status in (200, 304, 400), answer


# Deep and wide JSON


def nested(depth: int, opening: bytes = b"[", closing: bytes = b"]") -> bytes:
    return opening * depth + closing * depth


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(nested(MAX_FRAME_BYTES // 2), id="as deep as fits"),
        pytest.param(b"[" * MAX_FRAME_BYTES, id="never closed"),
        pytest.param(nested(MAX_FRAME_BYTES // 6, b'{"a":', b"}"), id="objects"),
        pytest.param(b'{"type":"ping","x":' + nested(5000) + b"}", id="in a field that nobody reads"),
    ],
)
async def test_deep_json_closes_its_sender_with_4500(edge: Edge, payload: bytes) -> None:
    peer = await edge.session(a_name("alice"))
    peer.wire.send(masked(payload, mask=b"\0\0\0\0"))
    assert await peer.close_code() == 4500


@pytest.mark.parametrize("path", ["/v1/poll", "/v1/sse", "/v1/commands"])
async def test_deep_json_in_a_body_is_a_bad_request(edge: Edge, path: str) -> None:
    token = edge.neighbours.token(a_name("alice"))
    for body in (
        nested(MAX_BODY_BYTES // 2),
        b"[" * MAX_BODY_BYTES,
        b'{"frames":' + nested(100_000) + b"}",
        b'{"channels":' + nested(40_000, b'{"a":', b"}") + b"}",
    ):
        answer = await edge.ask(
            request("POST", path, body, authorization=f"Bearer {token}", content_type="application/json")
        )
        refusal = (413, 112) if path == "/v1/sse" and len(body) > MAX_FRAME_BYTES else (400, 107)
        assert (answer.status, answer.json["code"]) == refusal, answer


async def test_an_array_of_more_frames_than_allowed_closes_with_4500(edge: Edge) -> None:
    peer = await edge.session(a_name("alice"))
    peer.say([{"type": "ping"}] * (MAX_FRAMES_PER_MESSAGE + 1))
    assert await peer.close_code() == 4500


# Too many channels


async def test_ten_thousand_subscriptions_open_no_more_than_the_limit(edge: Edge) -> None:
    peer = await edge.session(a_name("alice"))
    name = a_name("many")
    frames = [{"type": "subscribe", "id": 1 + number, "channel": f"orders:{name}-{number}"} for number in range(10_000)]
    for start in range(0, len(frames), MAX_FRAMES_PER_MESSAGE):
        peer.say(frames[start : start + MAX_FRAMES_PER_MESSAGE])
    refused = set()
    while (frame := await peer.hear())["type"] != "disconnect":
        if frame["type"] == "error":
            refused.add(frame["code"])
    assert refused == {106, 109}
    assert frame["code"] == 4009
    opened = [channel for channel in edge.pod.hub.channels if channel.name.startswith(f"{name}-")]
    assert len(opened) < MAX_CHANNELS


async def test_a_connect_with_thousands_of_channels_opens_none(edge: Edge) -> None:
    peer = await edge.socket()
    token, name = edge.neighbours.token(a_name("alice")), a_name("m")
    channels = dict.fromkeys(f"o:{number}" for number in range(4000))
    answer = await peer.ask("connect", token=token, channels=channels)
    assert (answer["type"], answer["code"]) == ("error", 107), answer
    polled = await edge.ask(poll(token, dict.fromkeys(f"orders:{name}-{number}" for number in range(8000))))
    assert (polled.status, polled.json["code"]) == (400, 107)
    assert not [channel for channel in edge.pod.hub.channels if channel.name.startswith(f"{name}-")]


# Floods


async def test_a_hundred_thousand_fragments_close_their_sender_at_the_limit_of_a_frame(neighbours: Neighbours) -> None:
    async with an_edge(neighbours, bytes_per_s=1e9, frames_per_s=1e6) as edge:
        peer = await edge.session(a_name("alice"))
        flood = masked(b"x", TEXT, fin=False) + masked(b"x", CONTINUED, fin=False) * 100_000
        peer.wire.send(flood)
        assert await peer.close_code() == 4504
        await eventually(lambda: edge.nothing_left)


@pytest.mark.parametrize(
    "frame", [masked(b"x" * 125, PING), masked(b"", CONTINUED, fin=False), message({"type": "ping"})]
)
async def test_who_floods_is_closed_with_4009_and_the_others_are_served(edge: Edge, frame: bytes) -> None:
    order = f"orders:{a_name('o')}"
    other = await edge.session(a_name("bob"), order)
    peer = await edge.session(a_name("alice"))
    if frame[0] == 0x00:
        peer.wire.send(masked(b"x", TEXT, fin=False))

    async def flood() -> None:
        for _ in range(50):
            peer.wire.send(frame * 2000)
            await peer.wire.writer.drain()

    flooding = asyncio.ensure_future(flood())
    for number in range(5):
        await edge.neighbours.publish(order, number)
        assert await within(other.data(1)) == [number]
    assert await peer.close_code() == 4009
    flooding.cancel()
    await asyncio.gather(flooding, return_exceptions=True)
    assert (await other.ask("subscribe", channel=f"orders:{a_name('o')}"))["type"] == "subscribed"
    peer.wire.reset()


# Half of a connection


@pytest.mark.parametrize("what", ["nothing", "half a head", "a waiting poll", "a socket", "a session"])
async def test_who_closes_their_half_is_gone(edge: Edge, what: str) -> None:
    token = edge.neighbours.token(a_name("alice"))
    if what == "a session":
        wire: Wire = (await edge.session(a_name("alice"))).wire
    else:
        wire = await edge.wire()
    match what:
        case "half a head":
            wire.send(b"GET /v1/ws HTTP/1.1\r\nHost: ")
        case "a waiting poll":
            wire.send(poll(token, {f"orders:{a_name('o')}": None}))
            channels = (await wire.answer()).json["channels"]
            wire.send(poll(token, channels, wait=20))
            await eventually(lambda: edge.pod.counters.open["poll"])
        case "a socket":
            wire.send(upgrade())
            assert (await wire.answer()).status == 101
    wire.writer.write_eof()
    await within(wire.ended())
    await wire.close()
    await eventually(lambda: edge.nothing_left)


async def test_what_a_client_sent_before_it_closed_its_half_is_done(edge: Edge) -> None:
    """A command that was read takes effect, though nobody hears of it."""
    token, channel = edge.neighbours.token(a_name("alice")), f"chat:{a_name('c')}"
    other = await edge.session(a_name("bob"), channel)
    wire = await edge.wire()
    wire.send(commands(token, {"type": "publish", "id": 1, "channel": channel, "event": "said", "data": 1}))
    wire.writer.write_eof()
    assert await within(other.data(1)) == [1]
    await wire.close()


# A name is one token of the bus


@pytest.mark.parametrize(
    "name",
    ["orders:>", "orders:*", "orders:a.b", "orders:a b", "$SYS:x", "orders:a\r\nPUB x", "user:bob", "orders:", ":x",
     "orders:..", "orders:%2e", "ORDERS:x", "orders:\u0430"],
)  # fmt: skip
async def test_no_name_of_a_channel_reaches_beyond_its_token(edge: Edge, name: str) -> None:
    user = a_name("alice")
    peer = await edge.session(user)
    for ask in ({"type": "subscribe"}, {"type": "publish", "event": "e", "data": 1}, {"type": "history"}):
        fields = dict(ask)
        answer = await peer.ask(str(fields.pop("type")), channel=name, **fields)
        assert answer["type"] in ("error", "subscribed"), answer
        code = answer["code"] if answer["type"] == "error" else answer["error"]["code"]
        assert code in (102, 103, 107), answer
    polled = (await edge.ask(poll(edge.neighbours.token(user), {name: None}))).json
    text = json.dumps(polled)
    assert "102" in text or "103" in text or "107" in text


# What a publisher may put into headers


async def test_a_traceparent_that_is_none_does_not_reach_into_the_frame(edge: Edge) -> None:
    """It is spliced into JSON as it stands; found by fuzzing."""
    order = f"orders:{a_name('o')}"
    peer = await edge.session(a_name("alice"), order)
    good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    for number, trace in enumerate(('","offset":9,"x":"'.ljust(54, "x") + "1", "\t" + "x" * 53 + "1", good)):
        await edge.neighbours.publish(order, number, trace=trace)
        frame = await within(peer.hear())
        assert (frame["data"], frame.get("trace")) == (number, good if trace == good else None)
