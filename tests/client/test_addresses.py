"""One URL tells where everything is."""

import pytest

from whimbrel.client import Misuse
from whimbrel.client.addresses import Addresses


@pytest.mark.parametrize("url", ["http://edge:8080", "ws://edge:8080/", "http://edge:8080/"])
def test_http_and_websocket_urls_name_the_same_edge(url: str) -> None:
    assert Addresses.of(url) == Addresses(
        websocket="ws://edge:8080/v1/ws",
        events="http://edge:8080/v1/sse",
        poll="http://edge:8080/v1/poll",
        commands="http://edge:8080/v1/commands",
        transports="http://edge:8080/v1/transports",
    )


@pytest.mark.parametrize("url", ["https://example.org/rt", "wss://example.org/rt/"])
def test_a_path_and_tls_are_kept(url: str) -> None:
    addresses = Addresses.of(url)
    assert addresses.websocket == "wss://example.org/rt/v1/ws"
    assert addresses.poll == "https://example.org/rt/v1/poll"


@pytest.mark.parametrize("url", ["edge:8080", "ftp://edge", "http://", "/v1/ws", "http://edge?x=1", ""])
def test_what_is_no_address_is_refused_by_name(url: str) -> None:
    with pytest.raises(Misuse, match="address of an edge"):
        Addresses.of(url)
