"""Tokens, states, silence and changes of transport over real sockets."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from tests.client.conftest import QUICK, MakeClient
from tests.client.fake_edge import FakeEdge
from tests.client.fake_wire import http_response
from tests.client.test_conversation import take, until
from whimbrel.client import Client, Closed, State, StateChange, Timing, TokenUnavailable
from whimbrel.client.shell.problems import retry_after_s


async def test_states_are_told_with_code_and_reason(edge: FakeEdge, client_of: MakeClient) -> None:
    async with client_of(edge) as client:
        await client.connected()
        changes = client.states()
        edge.close(4000, "draining", after_ms=500)
        async with asyncio.timeout(10):
            lost = await anext(changes)
            assert (lost.state, lost.code, lost.reason) == (State.DISCONNECTED, 4000, "draining")
            assert lost.retry_s is not None
            assert 0 < lost.retry_s <= 0.5
            assert await anext(changes) == StateChange(State.CONNECTING, transport="websocket")
            assert await anext(changes) == StateChange(State.CONNECTED, transport="websocket")
    assert [change.state async for change in changes] == [State.CLOSED]
    assert [change async for change in client.states()] == []


@pytest.mark.parametrize("code", [4501, 4503])
async def test_a_code_from_4500_on_closes_for_good(edge: FakeEdge, client_of: MakeClient, code: int) -> None:
    edge.tokens = lambda token: (code, "no")
    async with client_of(edge) as client:
        with pytest.raises(Closed) as closed:
            await client.connected()
        assert closed.value.code == code
        with pytest.raises(Closed):
            async with client.subscribe("orders:42"):
                pass
    assert len(edge.connects) == 1


async def test_a_poll_with_an_expired_token_is_repeated_with_another(edge: FakeEdge, client_of: MakeClient) -> None:
    tokens = iter(["old", "new"])
    edge.tokens = lambda token: (110, "token_expired") if token == "old" else None
    async with client_of(edge, transport="poll", token=lambda: next(tokens)) as client:
        await client.connected()


async def test_a_fixed_token_that_expired_is_the_end(edge: FakeEdge, client_of: MakeClient) -> None:
    edge.tokens = lambda token: (4010, "token_expired")
    async with client_of(edge, token="old") as client:
        with pytest.raises(Closed, match="no way to get another"):
            await client.connected()


async def test_an_expiring_token_is_renewed_once_on_the_open_connection(edge: FakeEdge, client_of: MakeClient) -> None:
    asked: list[str] = []

    async def provider() -> str:
        asked.append(f"token {len(asked)}")
        return asked[-1]

    async with client_of(edge, token=provider) as client:
        await client.connected()
        edge.send({"type": "expiring", "in": 30})
        edge.send({"type": "expiring", "in": 29})
        await asyncio.gather(client.refresh(), client.refresh())
        refreshes = [frame for frame in edge.connections[0].frames if frame["type"] == "refresh"]
    assert asked == ["token 0", "token 1"]
    assert [frame["token"] for frame in refreshes] == ["token 1"]


async def test_a_token_provider_that_fails_is_told_and_asked_again(edge: FakeEdge, client_of: MakeClient) -> None:
    works = False

    def provider() -> str:
        if not works:
            raise ConnectionError("the backend is down")
        return "token"

    async with client_of(edge, token=provider) as client:
        change = await until(client, State.DISCONNECTED)
        assert "the backend is down" in change.reason
        with pytest.raises(TokenUnavailable, match="the backend is down"):
            await client.refresh()
        works = True
        await client.connected()


async def test_who_is_told_to_poll_keeps_the_interval_except_for_what_is_new(
    edge: FakeEdge, client_of: MakeClient
) -> None:
    async with client_of(edge) as client, client.subscribe("orders:42") as orders:
        edge.transports |= {"transports": ["poll"], "poll": {"interval": 600}}
        edge.send({"type": "policy"} | edge.transports)
        assert (await until(client, State.CONNECTED)).transport == "poll"
        edge.publish("orders:42", 1)
        edge.publish("orders:43", 1)
        async with client.subscribe("orders:43", last=1) as more:
            assert await take(more, 1) == [1]
        assert await take(orders, 1) == [1], "it came along"
        assert {poll["wait"] for poll in edge.polls} == {0}


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (http_response(200, {"frames": 7}), 1006),
        (http_response(200, {"frames": [{"type": "publication"}], "channels": {}}), 1006),
    ],
    ids=["not a poll reply", "a broken frame"],
)
async def test_a_poll_that_fails_is_repeated(edge: FakeEdge, client_of: MakeClient, answer: bytes, code: int) -> None:
    edge.polling = answer
    async with client_of(edge, transport="poll") as client:
        assert (await until(client, State.DISCONNECTED)).code == code
        edge.polling = None
        await client.connected()


async def test_an_edge_that_answers_polls_early_with_nothing_is_not_hammered(
    edge: FakeEdge, client_of: MakeClient
) -> None:
    edge.polling = http_response(200, {"frames": [], "channels": {}})
    timing = Timing(poll_rest_s=60, backoff_cap_s=60)
    async with client_of(edge, transport="poll", timing=timing) as client:
        await client.connected()
        for _ in range(50):
            await asyncio.sleep(0.01)
        assert edge.requests <= 8


async def test_a_redirect_does_not_lead_to_another_address_with_the_token(
    edge: FakeEdge, client_of: MakeClient, transport: str
) -> None:
    async def elsewhere(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        there = edge.url.replace("http", "ws" if transport == "websocket" else "http")
        writer.write(f"HTTP/1.1 307 x\r\nLocation: {there}/v1/ws\r\nContent-Length: 0\r\n\r\n".encode())
        writer.close()

    async with await asyncio.start_server(elsewhere, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        options: dict[str, Any] = {"token": "alice's token", "transport": transport}
        async with Client(url, **options) as client:
            assert "HTTP 307" in (await until(client, State.DISCONNECTED)).reason
    assert (edge.upgrades, edge.requests) == (0, 0)


async def test_leaving_while_connecting_leaves_nothing_behind(edge: FakeEdge, client_of: MakeClient) -> None:
    edge.upgrade = "hang"
    async with client_of(edge, timing=QUICK) as client:
        await edge.until(lambda: edge.upgrades)
    assert client.state is State.CLOSED
    with suppress(TimeoutError):
        async with asyncio.timeout(0.05):
            await edge.until(lambda: False)
    tasks = [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("whimbrel")]
    assert tasks == []


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("7", 7.0), (None, None), ("soon", None), ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0)],
)
def test_retry_after_is_read_in_both_forms(value: str | None, seconds: float | None) -> None:
    assert retry_after_s(value) == seconds
