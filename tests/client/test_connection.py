"""Tokens, states, silence and changes of transport over real sockets."""

import asyncio
from contextlib import suppress

import pytest

from tests.client.conftest import QUICK, MakeClient
from tests.client.fake_edge import FakeEdge
from tests.client.fake_wire import http_response, problem
from tests.client.test_conversation import take, until
from whimbrel.client import Closed, State, StateChange, Timing, TokenUnavailable
from whimbrel.client.shell.problems import retry_after_s


async def test_states_are_told_with_code_and_reason(edge: FakeEdge, client_of: MakeClient) -> None:
    async with client_of(edge) as client:
        await client.connected()
        changes = client.states()
        edge.close(4000, "draining", after_ms=10)
        async with asyncio.timeout(10):
            lost = await anext(changes)
            assert (lost.state, lost.code, lost.reason) == (State.DISCONNECTED, 4000, "draining")
            assert lost.retry_s is not None
            assert 0 < lost.retry_s <= 0.01
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


async def test_over_polling_a_bad_token_closes_for_good_too(edge: FakeEdge, client_of: MakeClient) -> None:
    edge.tokens = lambda token: (101, "unauthorized")
    async with client_of(edge, transport="poll") as client:
        with pytest.raises(Closed) as closed:
            await client.connected()
        assert closed.value.code == 4501


async def test_an_expired_token_is_fetched_anew(edge: FakeEdge, client_of: MakeClient, transport: str) -> None:
    tokens = iter(["old", "new"])
    expired = (110, "token_expired") if transport == "poll" else (4010, "token_expired")
    edge.tokens = lambda token: expired if token == "old" else None
    async with client_of(edge, transport=transport, token=lambda: next(tokens)) as client:
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


async def test_a_silent_edge_is_given_up(edge: FakeEdge, client_of: MakeClient) -> None:
    edge.ping, edge.pong = 0.05, 0.05
    async with client_of(edge) as client:
        await client.connected()
        change = await until(client, State.DISCONNECTED)
        assert change.reason == "no frame for 0.1 s"
        await edge.until(lambda: len(edge.connects) > 1)


async def test_a_ping_is_answered(edge: FakeEdge, client_of: MakeClient) -> None:
    async with client_of(edge) as client:
        await client.connected()
        edge.send({"type": "ping"})
        await edge.until(lambda: edge.connections[0].frames[-1]["type"] == "pong")


@pytest.mark.parametrize(
    ("upgrade", "tries", "timing"),
    [("refuse", 2, Timing(probe_s=600)), ("hang", 1, Timing(open_s=1, probe_s=600))],  # 1 s: also for the stream
)
async def test_a_network_without_websocket_is_served_by_a_stream_of_events(
    edge: FakeEdge, client_of: MakeClient, upgrade: str, tries: int, timing: Timing
) -> None:
    edge.upgrade = upgrade
    async with client_of(edge, timing=timing) as client:
        await client.connected()
        assert edge.upgrades == tries
        assert (edge.streams_asked, edge.polls) == (1, [])


@pytest.mark.parametrize("streaming", ["refuse", "hold"])
async def test_a_network_that_streams_nothing_is_polled(edge: FakeEdge, client_of: MakeClient, streaming: str) -> None:
    edge.upgrade, edge.streaming = "refuse", streaming
    async with client_of(edge, timing=Timing(connect_s=1, probe_s=600)) as client:
        await client.connected()
        assert edge.streams_asked == (2 if streaming == "refuse" else 1)
        assert edge.polls


async def test_websocket_takes_over_once_it_works_and_nothing_is_lost(edge: FakeEdge, client_of: MakeClient) -> None:
    edge.upgrade = "refuse"
    async with client_of(edge) as client, client.subscribe("orders:42") as orders:
        edge.publish("orders:42", 1)
        assert await take(orders, 1) == [1]
        edge.upgrade = "accept"
        change = await until(client, State.CONNECTED)
        assert change.transport == "websocket"
        assert edge.connects[-1]["channels"]["orders:42"] == {"epoch": "e1", "offset": 3}
        edge.publish("orders:42", 2)
        assert await take(orders, 1) == [2]


async def test_a_policy_moves_an_open_client_to_polling(edge: FakeEdge, client_of: MakeClient) -> None:
    async with client_of(edge) as client, client.subscribe("orders:42") as orders:
        edge.transports["transports"] = ["poll"]
        edge.send({"type": "policy"} | edge.transports)
        assert (await until(client, State.CONNECTED)).transport == "poll"
        edge.publish("orders:42", 1)
        assert await take(orders, 1) == [1]


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


async def test_who_polls_learns_that_websocket_is_wanted_again(edge: FakeEdge, client_of: MakeClient) -> None:
    edge.transports["transports"] = ["poll"]
    edge.upgrade = edge.streaming = "refuse"
    async with client_of(edge) as client:
        await client.connected()
        await edge.until(lambda: edge.advised)
        edge.upgrade = "accept"
        edge.transports["transports"] = ["websocket", "poll"]
        assert (await until(client, State.CONNECTED)).transport == "websocket"


async def test_a_transport_that_is_switched_off_is_left(edge: FakeEdge, client_of: MakeClient) -> None:
    edge.tokens = lambda token: (4506, "transport_disabled") if not edge.polls and edge.connections else None
    async with client_of(edge, timing=Timing(probe_s=600)) as client:
        await client.connected()
        assert edge.polls


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (problem(503, 4000, "draining", retry_after_ms=10), 4000),
        (http_response(429, "slow down", {"Retry-After": "0"}), 4009),
        (http_response(200, {"frames": 7}), 1006),
        (http_response(200, {"frames": [{"type": "publication"}], "channels": {}}), 1006),
        (http_response(502, "bad gateway"), 1006),
    ],
    ids=["draining", "rate limited", "not a poll reply", "a broken frame", "a proxy's error"],
)
async def test_a_poll_that_fails_is_repeated(edge: FakeEdge, client_of: MakeClient, answer: bytes, code: int) -> None:
    edge.polling = answer
    async with client_of(edge, transport="poll") as client:
        assert (await until(client, State.DISCONNECTED)).code == code
        edge.polling = None
        await client.connected()


async def test_a_message_that_is_no_frame_costs_the_connection_and_nothing_else(
    edge: FakeEdge, client_of: MakeClient
) -> None:
    async with client_of(edge) as client:
        await client.connected()
        changes = client.states()
        edge.connections[0].socket.send_text("{not json")
        assert "not JSON" in (await anext(changes)).reason
        await client.connected()


async def test_frames_of_a_later_version_are_left_out(edge: FakeEdge, client_of: MakeClient) -> None:
    async with client_of(edge) as client, client.subscribe("orders:42") as orders:
        edge.send({"type": "from-the-future", "x": 1})
        edge.publish("orders:42", 1)
        assert await take(orders, 1) == [1]
        assert client.state is State.CONNECTED


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
