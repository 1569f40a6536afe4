"""What the front door does for pages of other origins, and who comes by other ways."""

import json
from http import HTTPStatus

import pytest

from tests.edge.edges import Edge, an_edge, eventually
from tests.edge.neighbours import Neighbours, a_name
from tests.edge.peers import Peer, poll, request, upgrade

pytestmark = pytest.mark.asyncio(loop_scope="module")

SHOP = "http://localhost:8000"


async def test_an_allowed_page_may_read_the_answers_of_the_hot_path(edge: Edge) -> None:
    token = edge.neighbours.token(a_name("alice"))
    for raw, status in (
        (request("GET", "/v1/poll?channel=inbox", authorization=f"Bearer {token}", origin=SHOP), 200),
        (request("GET", "/v1/poll", origin=SHOP), 401),
        (request("GET", "/v1/transports", authorization=f"Bearer {token}", origin=SHOP), 200),
    ):
        answer = await edge.ask(raw)
        assert answer.status == status
        assert answer.headers["access-control-allow-origin"] == SHOP
        assert "Origin" in answer.headers["vary"]
        assert "ETag" in answer.headers["access-control-expose-headers"]


async def test_a_preflight_allows_what_a_poll_needs(edge: Edge) -> None:
    preflight = request(
        "OPTIONS",
        "/v1/poll",
        origin=SHOP,
        access_control_request_method="POST",
        access_control_request_headers="authorization, content-type",
    )
    answer = await edge.ask(preflight)
    assert answer.status == 200
    assert answer.headers["access-control-allow-origin"] == SHOP


async def test_a_full_pod_refuses_polls_until_one_is_answered(neighbours: Neighbours) -> None:
    async with an_edge(neighbours, max_connections=1) as edge:
        token = neighbours.token(a_name("alice"))
        wire = await edge.wire()
        wire.send(poll(token, {"inbox": None}))
        channels = (await wire.answer()).json["channels"]
        wire.send(poll(token, channels, wait=20))
        await eventually(lambda: edge.pod.full)
        refused = await edge.ask(poll(token, channels))
        assert (refused.status, refused.headers["retry-after"]) == (HTTPStatus.SERVICE_UNAVAILABLE, "2")
        assert json.loads(refused.body)["slug"] == "overloaded"
        await wire.close()
        await eventually(lambda: not edge.pod.full)
        assert (await edge.ask(poll(token, channels))).status == 200


async def test_an_etag_that_a_browser_kept_from_another_user_is_no_cursor(edge: Edge) -> None:
    channel = f"orders:{a_name('shared')}"
    alice, bob = (edge.neighbours.token(a_name(name)) for name in ("alice", "bob"))
    target = f"/v1/poll?channel={channel}&channel=inbox"
    kept = (await edge.ask(request("GET", target, authorization=f"Bearer {alice}"))).headers["etag"]
    answer = await edge.ask(request("GET", target, authorization=f"Bearer {bob}", if_none_match=kept))
    assert answer.status == 200, "with a 304 the browser would show what it keeps of alice's"
    assert {frame["channel"]: frame.get("recovered") for frame in answer.json["frames"]} == {
        channel: None,
        "inbox": None,
    }


async def test_a_ticket_opens_one_websocket_and_connect_needs_no_token(edge: Edge) -> None:
    user = a_name("alice")
    asked = upgrade().replace(b"/v1/ws", f"/v1/ws?ticket={edge.neighbours.ticket(user)}".encode())
    wire = await edge.wire()
    wire.send(asked)
    assert (await wire.answer()).status == 101
    connected = await Peer(wire).ask("connect", channels={})
    assert (connected["type"], connected["user"]) == ("connected", user)
    again = await edge.ask(asked)
    assert (again.status, again.json["code"]) == (401, 101)


async def test_a_ticket_opens_one_stream(edge: Edge) -> None:
    user = a_name("alice")
    asked = request("GET", f"/v1/sse?ticket={edge.neighbours.ticket(user)}&channel=orders:1")
    connected = await (await edge.stream(asked)).hear()
    assert (connected["user"], set(connected["channels"])) == (user, {"inbox", "orders:1"})
    again = await edge.ask(asked)
    assert (again.status, again.json["code"]) == (401, 101)
