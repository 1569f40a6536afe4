"""Proxies are those of the environment."""

import pytest

from tests.client.conftest import MakeClient
from tests.client.fake_edge import FakeEdge
from tests.client.fake_proxy import FakeProxy
from tests.client.test_conversation import take, until
from whimbrel.client import RequestTimeout, State

NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SOCKS_PROXY")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    return monkeypatch


async def test_every_transport_goes_through_the_proxy_of_the_environment(
    edge: FakeEdge, client_of: MakeClient, transport: str, environment: pytest.MonkeyPatch
) -> None:
    async with FakeProxy() as proxy:
        environment.setenv("HTTP_PROXY", proxy.address)
        async with client_of(edge, transport=transport) as client, client.subscribe("orders:42") as orders:
            edge.publish("orders:42", 1)
            assert await take(orders, 1) == [1]
        tunnel, request = f"CONNECT {edge.url.removeprefix('http://')}", f"POST {edge.url}/v1/{transport}"
        assert (tunnel if transport == "websocket" else request) in proxy.asked


async def test_what_the_environment_exempts_goes_past_the_proxy(
    edge: FakeEdge, client_of: MakeClient, transport: str, environment: pytest.MonkeyPatch
) -> None:
    async with FakeProxy() as proxy:
        environment.setenv("HTTP_PROXY", proxy.address)
        environment.setenv("NO_PROXY", "127.0.0.1")
        async with client_of(edge, transport=transport) as client:
            await client.connected()
        assert proxy.asked == []


async def test_a_proxy_that_cannot_be_used_is_named_and_does_not_end_the_client(
    edge: FakeEdge, client_of: MakeClient, transport: str, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("SOCKS_PROXY" if transport == "websocket" else "ALL_PROXY", "socks5://127.0.0.1:1")
    async with client_of(edge, transport=transport) as client:
        assert "SOCKS proxy" in (await until(client, State.DISCONNECTED)).reason
        with pytest.raises(RequestTimeout, match=r"not connected: .*SOCKS proxy"):
            await client.history("orders:42", timeout=0.05)
        assert (await until(client, State.CONNECTING)).transport == transport
