"""Who may not come in, and what is refused inside: the same codes over every transport."""

import pytest

from tests.conformance.clients import Client, PollClient, Refused, StreamClient, WebSocketClient
from tests.conformance.conftest import Opening
from tests.edge.edges import Edge, an_edge
from tests.edge.neighbours import Neighbours, a_name
from tests.edge.peers import Answer, commands, masked, request

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def refusal(transport: type[Client], edge: Edge, token: str, *channels: str, **headers: str) -> Refused:
    with pytest.raises(Refused) as refused:
        await transport().open(edge.port, token, *(channels or ("inbox",)), **headers)
    return refused.value


@pytest.mark.parametrize(
    ("why", "close", "status", "error"),
    [
        ("unauthorized", 4501, 401, 101),
        ("token_expired", 4010, 401, 110),
        ("revoked", 4503, 401, 101),
        ("forbidden", 4502, 403, 103),
    ],
)
async def test_who_may_not_come_in_is_told_so_by_a_close_code_or_a_status(
    edge: Edge, transport: type[Client], why: str, close: int, status: int, error: int
) -> None:
    token = "nobody's" if why == "unauthorized" else edge.neighbours.refused_token(why)  # type: ignore[arg-type]
    refused = await refusal(transport, edge, token)
    assert (refused.code, refused.status) == ((close, None) if transport is WebSocketClient else (error, status))
    assert edge.pod.counters.open["poll"] == edge.pod.counters.open["sse"] == 0


@pytest.mark.parametrize("origin", ["null", "https://elsewhere.example", "http://localhost:8001"])
async def test_a_page_of_a_foreign_origin_is_refused(edge: Edge, transport: type[Client], origin: str) -> None:
    refused = await refusal(transport, edge, edge.neighbours.token(a_name("alice")), origin=origin)
    assert (refused.code, refused.status) == (103, 403)


async def test_a_pod_that_is_full_sends_clients_elsewhere(neighbours: Neighbours, transport: type[Client]) -> None:
    async with an_edge(neighbours, max_connections=1) as edge:
        held = WebSocketClient()
        await held.open(edge.port, neighbours.token(a_name("bob")))
        refused = await refusal(transport, edge, neighbours.token(a_name("alice")))
        assert (refused.code, refused.status) == (4008, 503)
        await held.close()


async def test_a_user_with_too_many_connections_is_refused_another(
    neighbours: Neighbours, transport: type[Client]
) -> None:
    async with an_edge(neighbours, connections_per_user=1) as edge:
        token = neighbours.token(a_name("alice"))
        held = StreamClient()
        await held.open(edge.port, token)
        refused = await refusal(transport, edge, token)
        if transport is WebSocketClient:
            assert (refused.code, refused.status) == (4507, None)
        else:
            assert (refused.code, refused.status) == (106, 429)
        await held.close()


async def test_a_channel_that_is_not_the_users_is_refused_and_the_others_are_served(
    edge: Edge, a_client: Opening
) -> None:
    order = f"orders:{a_name('o')}"
    asked = (order, "nope:1", "user:bob", "orders:*")
    async with a_client(edge.port, edge.neighbours.token(a_name("alice")), *asked) as client:
        assert client.books.refused == {"nope:1": 102, "user:bob": 103, "orders:*": 107}
        await edge.neighbours.publish(order, "served")
        assert await client.until_received(order, 1) == ["served"]


@pytest.mark.parametrize(
    ("type_", "fields", "code"),
    [
        ("history", {"channel": "nope:1"}, 102),
        ("history", {"channel": "orders:*"}, 107),
        ("publish", {"channel": "orders:1", "event": "e", "data": 1}, 103),
        ("publish", {"channel": "orders:1", "event": "e"}, 107),
        ("ack", {"channel": "typing:1", "offset": 1}, 107),
        ("dance", {}, 107),
    ],
)
async def test_a_request_that_fails_earns_its_code_and_the_client_lives_on(
    edge: Edge, a_client: Opening, type_: str, fields: dict[str, object], code: int
) -> None:
    order = f"orders:{a_name('o')}"
    async with a_client(edge.port, edge.neighbours.token(a_name("alice")), order) as client:
        refused = await client.command(type_, **fields)
        assert (refused["type"], refused["code"]) == ("error", code)
        await edge.neighbours.publish(order, "alive")
        assert await client.until_received(order, 1) == ["alive"]


@pytest.mark.parametrize("type_", ["subscribe", "unsubscribe", "refresh", "connect", "ping"])
async def test_what_belongs_to_a_connection_is_told_what_to_do_instead(edge: Edge, type_: str) -> None:
    client = PollClient()
    await client.open(edge.port, edge.neighbours.token(a_name("alice")), "inbox")
    refused = await client.command(type_, channel="orders:1", token="t")
    assert (refused["type"], refused["code"]) == ("error", 107)
    assert "needs a WebSocket" in refused["message"]
    await client.close()


def posted(path: str, body: bytes, token: str) -> bytes:
    return request("POST", path, body, authorization=f"Bearer {token}", content_type="application/json")


@pytest.mark.parametrize("body", [b"not json", b"\xff", b"3", b'["connect"]'])
async def test_what_is_no_frame_is_refused_and_costs_one_connection(edge: Edge, body: bytes) -> None:
    token = edge.neighbours.token(a_name("alice"))
    for path in ("/v1/sse", "/v1/poll", "/v1/commands"):
        answer: Answer = await edge.ask(posted(path, body, token))
        assert (answer.status, answer.json["code"]) == (400, 107), path
    peer = await edge.session(a_name("alice"))
    peer.wire.send(masked(body))
    assert await peer.close_code() == 4500


async def test_what_is_too_large_is_refused_and_costs_one_connection(edge: Edge) -> None:
    token = edge.neighbours.token(a_name("alice"))
    for path, size in (("/v1/sse", 64 * 1024 + 1), ("/v1/poll", 256 * 1024 + 1), ("/v1/commands", 256 * 1024 + 1)):
        answer: Answer = await edge.ask(posted(path, b" " * size, token))
        assert (answer.status, answer.json["code"]) == (413, 112), path
    peer = await edge.session(a_name("alice"))
    peer.wire.send(masked(b" " * (64 * 1024 + 1)))
    assert await peer.close_code() == 4504


async def test_more_frames_than_a_message_holds_are_refused(edge: Edge) -> None:
    token = edge.neighbours.token(a_name("alice"))
    answer = await edge.ask(commands(token, *({"type": "ping"} for _ in range(257))))
    assert (answer.status, answer.json["code"]) == (400, 107)
