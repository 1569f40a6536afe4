"""The WebSocket handshake (RFC 6455 §4.2) and the origin of every request."""

import pytest

from tests.edge.peers import KEY, SUBPROTOCOL, request, upgrade
from whimbrel.edge.shell.handshake import check_origin, read_upgrade
from whimbrel.edge.shell.httpwire import Refusal, Request, read_head

SHOP = "https://shop.example"


def head(raw: bytes) -> Request:
    return read_head(raw)[0]


def accepted(request: Request) -> bytes:
    return read_upgrade(request, deflate=False).accept().answer


def test_the_key_of_the_rfc_is_accepted_as_in_the_rfc() -> None:
    answer = accepted(head(upgrade()))
    assert answer.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
    assert b"\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in answer
    assert b"\r\nsec-websocket-protocol: whimbrel.v1.json\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")


def test_our_subprotocol_is_picked_from_several() -> None:
    offered = {"sec_websocket_protocol": f"graphql-ws, {SUBPROTOCOL} , chat"}
    assert b"sec-websocket-protocol: whimbrel.v1.json\r\n" in accepted(head(upgrade(**offered)))


def test_header_values_are_read_as_lists_whatever_their_case() -> None:
    accepted(head(upgrade(connection="keep-alive, UPGRADE", upgrade="WebSocket")))


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"upgrade": "h2c"}, 426, 107),
        ({"connection": "keep-alive"}, 426, 107),
        ({"sec_websocket_version": "8"}, 400, 107),
        ({"sec_websocket_key": ""}, 400, 107),
        ({"sec_websocket_key": "dG9vIHNob3J0"}, 400, 107),
        ({"sec_websocket_key": "not base64 at all"}, 400, 107),
        ({"sec_websocket_key": "ü" * 24}, 400, 107),
        ({"sec_websocket_protocol": "whimbrel.v2.json"}, 400, 4505),
        ({"sec_websocket_protocol": ""}, 400, 4505),
    ],
)
def test_a_handshake_that_is_none_is_refused_with_what_is_missing(
    change: dict[str, str], status: int, code: int
) -> None:
    with pytest.raises(Refusal) as refusal:
        accepted(head(upgrade(**change)))
    assert (refusal.value.status, refusal.value.code) == (status, code)
    assert refusal.value.detail


def test_a_key_that_comes_twice_is_refused() -> None:
    twice = upgrade().replace(b"\r\n\r\n", f"\r\nSec-WebSocket-Key: {KEY}\r\n\r\n".encode())
    with pytest.raises(Refusal, match="once"):
        accepted(head(twice))


def test_a_plain_request_is_told_to_upgrade() -> None:
    with pytest.raises(Refusal) as refusal:
        accepted(head(request("GET", "/v1/ws")))
    assert refusal.value.status == 426


# Origins


def test_a_request_without_an_origin_comes_from_no_page() -> None:
    assert check_origin(head(upgrade()), {SHOP}) is None


def test_the_configured_origin_passes_in_exactly_its_spelling() -> None:
    assert check_origin(head(upgrade(origin=SHOP)), {SHOP}) == SHOP


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "null", "", "https://shop.example:443", "https://shop.example/", "HTTPS://SHOP.EXAMPLE",
     "https://shop.example.evil.example", "http://shop.example", "https://evil.example, https://shop.example"],
)  # fmt: skip
def test_any_other_origin_is_refused(origin: str) -> None:
    with pytest.raises(Refusal) as refusal:
        check_origin(head(upgrade(origin=origin)), {SHOP})
    assert (refusal.value.status, refusal.value.code) == (403, 103)


def test_an_origin_that_comes_twice_is_refused() -> None:
    twice = upgrade(origin=SHOP).replace(b"\r\n\r\n", f"\r\nOrigin: {SHOP}\r\n\r\n".encode())
    with pytest.raises(Refusal):
        check_origin(head(twice), {SHOP})
