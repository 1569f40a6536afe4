"""``GET /v1/poll``: who cannot change polls as before, by a cursor or an ETag."""

import pytest

from tests.edge.edges import Edge
from tests.edge.neighbours import a_name
from tests.edge.peers import request

pytestmark = pytest.mark.asyncio(loop_scope="module")


def interval(token: str, *channels: str, wait: int = 0, method: str = "GET", **headers: str) -> bytes:
    query = "&".join([f"wait={wait}", *(f"channel={name}" for name in channels)])
    return request(method, f"/v1/poll?{query}", authorization=f"Bearer {token}", **headers)


async def test_an_interval_poll_goes_on_from_its_etag_and_is_304_where_nothing_is_new(edge: Edge) -> None:
    user, group, order = a_name("alice"), a_name("vip"), f"orders:{a_name('o')}"
    token = edge.neighbours.token(user, groups=(group,))
    first = await edge.ask(interval(token, order))
    assert {frame["channel"] for frame in first.json["frames"]} == {order, f"group:{group}"}
    nothing = await edge.ask(interval(token, order, if_none_match=first.headers["etag"]))
    assert (nothing.status, nothing.body, nothing.headers["etag"]) == (304, b"", first.headers["etag"])
    await edge.neighbours.publish(f"group:{group}", "for members")
    news = await edge.ask(interval(token, order, wait=20, if_none_match=first.headers["etag"]))
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
