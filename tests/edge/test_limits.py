"""Every limit on what clients may do, tripped on a whole edge: the refusal is clear, and others are served."""

import json

import pytest

from tests.edge.edges import an_edge, eventually
from tests.edge.neighbours import Neighbours, a_name
from tests.edge.peers import PING, commands, masked, poll, request

pytestmark = pytest.mark.asyncio(loop_scope="module")
HISTORY = {"type": "history", "id": 1, "channel": "inbox"}


# One connection


async def test_more_frames_than_the_rate_are_refused_then_close(neighbours: Neighbours) -> None:
    async with an_edge(neighbours, frames_per_s=2) as edge:
        alice, bob = await edge.session(a_name("alice")), await edge.session(a_name("bob"))
        for number in range(40):
            alice.say({**HISTORY, "id": number + 2})
        refused = await alice.until(lambda frame: frame["type"] == "error")
        assert (refused["code"], refused["temporary"], refused["retry_ms"] > 0) == (109, True, True)
        disconnect = await alice.until(lambda frame: frame["type"] == "disconnect")
        assert (disconnect["code"], disconnect["reconnect"], disconnect["after_ms"] > 10_000) == (4009, True, True)
        assert (await bob.ask("history", channel="inbox"))["type"] == "ok"


@pytest.mark.parametrize("flood", [masked(b"", PING) * 200, masked(b'{"type":"ping"}') * 200])
async def test_a_flood_of_pings_closes_the_connection(neighbours: Neighbours, flood: bytes) -> None:
    async with an_edge(neighbours, frames_per_s=5) as edge:
        peer = await edge.socket()
        peer.wire.send(flood)
        assert await peer.close_code() == 4009
        peer.wire.reset()
        await eventually(lambda: edge.pod.counters.closed["rate_limited"] == 1)


async def test_a_flood_of_bytes_closes_the_connection_before_a_message_is_whole(neighbours: Neighbours) -> None:
    async with an_edge(neighbours, bytes_per_s=1000) as edge:
        peer = await edge.socket()
        peer.wire.send(masked(b"x" * 60_000)[:30_000])
        assert await peer.close_code() == 4009


# One user


async def test_all_that_a_user_asks_over_all_transports_counts_together(neighbours: Neighbours) -> None:
    async with an_edge(neighbours, requests_per_s=0.8) as edge:
        user = a_name("alice")
        token = neighbours.token(user)
        alice = await edge.session(user)
        assert (await alice.ask("history", channel="inbox"))["type"] == "ok"
        assert (await edge.ask(poll(token, {"inbox": None}))).status == 200
        answer = await edge.ask(commands(token, HISTORY))
        assert [frame["type"] for frame in answer.json["frames"]] == ["ok"], "two: the request, and its frame"
        refused = await alice.ask("history", channel="inbox")
        assert (refused["code"], refused["retry_ms"] > 0) == (109, True)
        for raw in (
            poll(token, {"inbox": None}),
            commands(token, HISTORY),
            request("GET", "/v1/transports", authorization=f"Bearer {token}"),
        ):
            answer = await edge.ask(raw)
            assert (answer.status, answer.json["code"], answer.headers["retry-after"]) == (429, 109, "2"), answer
            assert 0 < answer.json["retry_after_ms"] <= 2000
        assert (await edge.ask(poll(neighbours.token(a_name("bob")), {"inbox": None}))).status == 200
        await eventually(lambda: edge.pod.counters.open["poll"] == 0)


async def test_publishes_of_a_user_count_together_however_they_come(neighbours: Neighbours) -> None:
    async with an_edge(neighbours, publish_per_s=1.5) as edge:
        user, channel = a_name("alice"), f"chat:{a_name('c')}"
        first, second = await edge.session(user, channel), await edge.session(user, channel)
        publish = {"type": "publish", "id": 1, "channel": channel, "event": "said", "data": "x"}
        answers = [
            await first.ask("publish", channel=channel, event="said", data="x"),
            await second.ask("publish", channel=channel, event="said", data="y"),
            json.loads((await edge.ask(commands(neighbours.token(user), publish))).body)["frames"][0],
            await first.ask("publish", channel=channel, event="said", data="z"),
        ]
        assert [answer["type"] for answer in answers] == ["ok", "ok", "ok", "error"]
        assert (answers[3]["code"], 0 < answers[3]["retry_ms"] <= 700) == (109, True)
        bob = await edge.session(a_name("bob"), channel)
        assert (await bob.ask("publish", channel=channel, event="said", data="b"))["type"] == "ok"
