"""Pages of other origins: refused on every endpoint, with the same code, and told nothing."""

from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio
from pydantic import ValidationError

from tests.edge.edges import Edge, an_edge
from tests.edge.neighbours import Neighbours, a_name
from tests.edge.peers import Answer, poll, request, upgrade
from whimbrel.edge.settings import Settings

pytestmark = pytest.mark.asyncio(loop_scope="module")
SHOP, LOCAL, SIX = "https://shop.example", "http://localhost:8000", "http://[::1]:8000"
ENDPOINTS: dict[str, Callable[..., bytes]] = {
    "GET /v1/ws": lambda token, **headers: upgrade(**headers),
    "GET /v1/sse": lambda token, **headers: request("GET", "/v1/sse", authorization=f"Bearer {token}", **headers),
    "POST /v1/sse": lambda token, **headers: request(
        "POST", "/v1/sse", b'{"type":"connect","id":1}', authorization=f"Bearer {token}", **headers
    ),
    "GET /v1/poll": lambda token, **headers: request(
        "GET", "/v1/poll?channel=inbox", authorization=f"Bearer {token}", **headers
    ),
    "POST /v1/poll": lambda token, **headers: request(
        "POST", "/v1/poll", b'{"channels":{"inbox":null},"wait":0}', authorization=f"Bearer {token}", **headers
    ),
    "POST /v1/commands": lambda token, **headers: request(
        "POST",
        "/v1/commands",
        b'{"frames":[]}',
        authorization=f"Bearer {token}",
        content_type="application/json",
        **headers,
    ),
    "GET /v1/transports": lambda token, **headers: request(
        "GET", "/v1/transports", authorization=f"Bearer {token}", **headers
    ),
}
FOREIGN = {
    "a page of nowhere": "null",
    "nothing": "",
    "another site": "https://evil.example",
    "ours as a prefix": "https://shop.example.evil.example",
    "ours as a suffix": "https://evilshop.example",
    "ours as a user": "https://shop.example@evil.example",
    "a child of ours": "https://www.shop.example",
    "upper case": "https://SHOP.example",
    "upper scheme": "HTTPS://shop.example",
    "the default port": "https://shop.example:443",
    "another port": "http://localhost:8001",
    "no port": "http://localhost",
    "another scheme": "http://shop.example",
    "a scheme of sockets": "wss://shop.example",
    "a slash behind": "https://shop.example/",
    "a dot behind": "https://shop.example.",
    "a path behind": "https://shop.example/page",
    "a list": "https://shop.example, https://evil.example",
    "a list with blanks": "https://shop.example https://evil.example",
    "a star": "*",
    "a file": "file://",
    "a port of IPv6": "http://[::1]:8001",
    "IPv6 at length": "http://[0:0:0:0:0:0:0:1]:8000",
    "IPv6 without brackets": "http://::1:8000",
    "a byte beyond ASCII": "https://sh\u00f6p.example",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(neighbours: Neighbours) -> AsyncIterator[Edge]:
    async with an_edge(neighbours, allowed_origins=f"{SHOP},{LOCAL},{SIX}") as edge:
        yield edge


async def asked(edge: Edge, raw: bytes) -> Answer:
    """Return the head of the answer, whatever follows it."""
    wire = await edge.wire()
    wire.send(raw)
    answer = await wire.answer()
    wire.reset()
    return answer


@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_any_other_origin_is_refused_with_403_and_may_not_read_why(shop: Edge, endpoint: str) -> None:
    token = shop.neighbours.token(a_name("alice"))
    for why, origin in FOREIGN.items():
        answer = await asked(shop, ENDPOINTS[endpoint](token, origin=origin))
        assert (answer.status, answer.json["code"]) == (403, 103), why
        assert "access-control-allow-origin" not in answer.headers, why


@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_an_origin_that_comes_twice_is_refused_even_if_both_are_allowed(shop: Edge, endpoint: str) -> None:
    token = shop.neighbours.token(a_name("alice"))
    for second in (SHOP, LOCAL, "https://evil.example"):
        raw = ENDPOINTS[endpoint](token, origin=SHOP).replace(b"Host:", f"Origin: {second}\r\nHost:".encode(), 1)
        answer = await asked(shop, raw)
        assert (answer.status, answer.json["code"]) == (403, 103)
        assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_an_allowed_origin_may_connect_and_read_and_so_may_who_is_no_page(shop: Edge, endpoint: str) -> None:
    token = shop.neighbours.token(a_name("alice"))
    good = 101 if endpoint.endswith("/ws") else 200
    for origin in (SHOP, LOCAL, SIX):
        answer = await asked(shop, ENDPOINTS[endpoint](token, origin=origin))
        assert answer.status == good
        if good == 200:  # a WebSocket is no matter of CORS
            assert answer.headers["access-control-allow-origin"] == origin
            assert "Origin" in answer.headers["vary"]
    answer = await asked(shop, ENDPOINTS[endpoint](token))
    assert answer.status == good
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("path", ["/v1/poll", "/v1/sse", "/v1/commands", "/v1/transports"])
async def test_a_preflight_says_what_the_request_behind_it_will_be_told(shop: Edge, path: str) -> None:
    def preflight(origin: str) -> bytes:
        asks = {"access_control_request_method": "POST", "access_control_request_headers": "authorization,content-type"}
        return request("OPTIONS", path, origin=origin, **asks)

    for origin in (SHOP, LOCAL, SIX):
        answer = await asked(shop, preflight(origin))
        assert answer.status == 200
        assert answer.headers["access-control-allow-origin"] == origin
        assert "POST" in answer.headers["access-control-allow-methods"]
        assert "authorization" in answer.headers["access-control-allow-headers"].lower()
        assert "Origin" in answer.headers["vary"]
    for why, origin in FOREIGN.items():
        answer = await asked(shop, preflight(origin))
        assert (answer.status, answer.json["code"]) == (403, 103), why
        assert "access-control-allow-origin" not in answer.headers, why


async def test_the_origin_of_a_request_is_not_the_one_of_the_request_before(shop: Edge) -> None:
    token = shop.neighbours.token(a_name("alice"))
    wire = await shop.wire()
    for origin in (SHOP, LOCAL, SHOP):
        raw = poll(token, {"inbox": None}).replace(b"Host:", f"Origin: {origin}\r\nHost:".encode(), 1)
        wire.send(raw)
        assert (await wire.answer()).headers["access-control-allow-origin"] == origin
    wire.send(poll(token, {"inbox": None}))
    assert "access-control-allow-origin" not in (await wire.answer()).headers


@pytest.mark.parametrize(
    "origin",
    ["*", "null", "shop.example", "https://", "https://shop.example/", "https://*.shop.example", "HTTPS://shop.example",
     "https://Shop.example", "https://shop.example:443", "http://shop.example:80", "https://user@shop.example",
     "https://shop.example:", "https://shop example", "wss://shop.example"],
)  # fmt: skip
async def test_an_origin_that_no_browser_sends_is_no_setting(origin: str) -> None:
    with pytest.raises(ValidationError, match="as browsers send it"):
        Settings.model_validate({"allowed_origins": origin})
