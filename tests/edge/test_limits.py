"""Every limit on what clients may do, tripped on a whole edge: the refusal is clear, and others are served."""

import json

import pytest

from tests.edge.edges import an_edge, eventually
from tests.edge.neighbours import Neighbours, a_name
from tests.edge.peers import PING, Wire, commands, masked, poll, request, upgrade
from whimbrel.edge.shell.httpwire import Refusal

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
        assert (disconnect["code"], disconnect["reconnect"], disconnect["after_ms"] >= 10_000) == (4009, True, True)
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
        edge.stop_clock()
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
        edge.stop_clock()
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


async def test_a_user_has_so_many_connections_waiting_polls_included(neighbours: Neighbours) -> None:
    async with an_edge(neighbours, connections_per_user=2) as edge:
        user = a_name("alice")
        token = neighbours.token(user)
        alice = await edge.session(user)
        channels = (await edge.ask(poll(token, {"inbox": None}))).json["channels"]
        waiting = await edge.wire()
        waiting.send(poll(token, channels, wait=20))
        await eventually(lambda: edge.pod.counters.open["poll"] == 1)

        third = await edge.socket()
        third.say({"type": "connect", "id": 1, "token": token})
        disconnect = await third.until(lambda frame: frame["type"] == "disconnect")
        assert (disconnect["code"], disconnect["reconnect"]) == (4507, False)
        for raw in (poll(token, channels, wait=20), upgrade(authorization=f"Bearer {token}")):
            refused = await edge.ask(raw)
            assert (refused.status, refused.json["code"]) == (429, 106)
            assert 5 <= int(refused.headers["retry-after"]) <= 15
        refreshed = await alice.ask("refresh", token=token)
        assert refreshed["type"] == "ok", "a refresh is no connection more"

        await waiting.close()
        await eventually(lambda: edge.pod.counters.open["poll"] == 0)
        assert (await edge.ask(upgrade(authorization=f"Bearer {token}"))).status == 101


# One address


def from_address(address: str, raw: bytes, header: str = "X-Forwarded-For") -> bytes:
    return raw.replace(b"Host: edge\r\n", f"Host: edge\r\n{header}: {address}\r\n".encode())


async def test_an_address_connects_at_its_rate_and_others_are_served(neighbours: Neighbours) -> None:
    async with an_edge(neighbours, address_connects_per_s=0.2, trusted_proxies=1) as edge:
        pass_ = edge.stop_clock()
        here, there = "203.0.113.7", "198.51.100.7"
        token = neighbours.token(a_name("alice"))
        # Each of these is a connect: an upgrade, a poll with a token that is new here, and any other such request.
        assert (await edge.ask(from_address(here, poll(token, {"inbox": None})))).status == 200
        assert (await edge.ask(from_address(here, upgrade()))).status == 101
        for raw in (
            upgrade(),
            poll(neighbours.token(a_name("bob")), {"inbox": None}),
            commands(neighbours.token(a_name("bob")), HISTORY),
        ):
            refused = await edge.ask(from_address(here, raw))
            assert (refused.status, refused.json["code"]) == (429, 4009)
            assert refused.json["retry_after_ms"] <= 1000 * int(refused.headers["retry-after"])
            assert 6000 <= refused.json["retry_after_ms"] <= 8000, "5 s until the next, and jitter"
        assert (await edge.ask(from_address(here, poll(token, {"inbox": None})))).status == 200, "it is known by now"
        assert (await edge.ask(from_address(there, upgrade()))).status == 101
        assert (await edge.ask(from_address(f"{here}, {there}", upgrade()))).status == 101, (
            "what a client wrote is moot"
        )
        pass_(5)
        assert (await edge.ask(from_address(here, upgrade()))).status == 101, "its next turn"


async def test_without_a_trusted_proxy_nobody_chooses_an_address(neighbours: Neighbours) -> None:
    async with an_edge(neighbours, address_connects_per_s=0.2) as edge:
        admission = edge.pod.admission
        outcomes = []
        for number in range(4):
            try:
                admission.connect(("192.0.2.1", 4711), [f"203.0.113.{number}"], now=edge.pod.now())
                outcomes.append(101)
            except Refusal as refusal:
                outcomes.append(refusal.status.value)
        assert outcomes == [101, 101, 429, 429]


async def test_connects_from_the_machine_itself_are_no_party(neighbours: Neighbours) -> None:
    async with an_edge(neighbours, address_connects_per_s=0.2) as edge:
        assert [(await edge.ask(upgrade())).status for _ in range(4)] == [101] * 4


async def test_the_standard_header_is_read_where_the_proxies_write_it(neighbours: Neighbours) -> None:
    settings = {"address_connects_per_s": 0.1, "trusted_proxies": 1, "forwarded_header": "forwarded"}
    async with an_edge(neighbours, **settings) as edge:
        edge.stop_clock()
        for number, status in ((1, 101), (2, 101), (1, 429)):
            raw = from_address(f'for="[2001:db8:0:{number}::1]:4711"', upgrade(), "Forwarded")
            spoofed = from_address(f"203.0.113.{number}", raw)
            assert (await edge.ask(spoofed)).status == status


# The pod


async def test_a_storm_of_connects_is_given_turns(neighbours: Neighbours) -> None:
    async with an_edge(neighbours, connects_per_s=5) as edge:
        pass_ = edge.stop_clock()
        answers = [await edge.ask(upgrade()) for _ in range(40)]
        assert [answer.status for answer in answers] == [101] * 10 + [503] * 30
        refused = [answer.json for answer in answers[10:]]
        assert {(each["code"], each["slug"]) for each in refused} == {(4008, "overloaded")}
        turns = [each["retry_after_ms"] for each in refused]
        assert abs(turns[-1] - turns[0] - 29 * 200) <= 500, "200 ms each at 5 per second, and jitter"
        pass_(turns[0] / 1000)
        assert (await edge.ask(upgrade())).status == 101, "who comes when told gets in"


async def test_sockets_beyond_the_bound_are_reset_and_open_ones_served(neighbours: Neighbours) -> None:
    async with an_edge(neighbours, max_sockets=10) as edge:
        alice = await edge.session(a_name("alice"))
        silent = [await edge.wire() for _ in range(9)]
        await eventually(lambda: edge.pod.sockets == 10)
        assert await (await edge.wire()).ended() == b""
        assert edge.pod.counters.refused["reset"] == 1
        assert (await alice.ask("history", channel="inbox"))["type"] == "ok"
        await silent[0].close()
        await eventually(lambda: edge.pod.sockets == 9)
        assert (await edge.ask(upgrade())).status == 101


@pytest.mark.parametrize("limit", ["max_connections", "max_sockets"])
async def test_a_full_pod_is_not_ready_until_there_is_room(neighbours: Neighbours, limit: str) -> None:
    async with an_edge(neighbours, **{limit: 2}) as edge:
        assert edge.service.health.is_ready
        alice = await edge.session(a_name("alice"))
        await edge.session(a_name("bob"))
        await eventually(lambda: not edge.service.health.is_ready)
        assert edge.service.health.reasons == ("room: the pod holds as many clients as it may",)
        await alice.close()
        await eventually(lambda: edge.service.health.is_ready)


async def test_a_pod_that_hovers_at_its_limit_does_not_flap(neighbours: Neighbours) -> None:
    async with an_edge(neighbours, max_sockets=40) as edge:

        async def readiness(sockets: int) -> bool:
            while len(wires) < sockets:
                wires.append(await edge.wire())
            while len(wires) > sockets:
                await wires.pop().close()
            await eventually(lambda: edge.pod.sockets == sockets)
            for look in edge.service.vitals.on_look:
                look()
            return edge.service.health.is_ready

        wires: list[Wire] = []
        found = [await readiness(sockets) for sockets in (38, 39, 40, 39, 38, 37, 39)]
        assert found == [True, True, False, False, False, True, True]


# Those who take nothing or send nothing


async def test_who_asks_and_takes_no_answer_is_asked_nothing_more_then_cut(neighbours: Neighbours) -> None:
    async with an_edge(neighbours, stuck_s=0.3) as edge:
        user, chat = a_name("alice"), f"chat:{a_name('c')}"
        token = neighbours.token(user)
        await neighbours.publish(chat, *("x" * 20_000 for _ in range(20)))
        history = commands(token, {"type": "history", "id": 1, "channel": chat, "limit": 20})
        recent = poll(token, {chat: {"epoch": (await edge.ask(history)).json["frames"][0]["epoch"], "offset": 0}})
        for raw in (history, recent):
            await eventually(lambda: edge.pod.sockets == 0)
            wire = await Wire.open(edge.port, receive_buffer=4096)
            wire.reader._transport.pause_reading()  # type: ignore[attr-defined]
            for _ in range(20):
                wire.send(raw)
            await eventually(lambda: edge.pod.sockets == 1)
            await eventually(lambda: edge.pod.sockets == 0)
            wire.reset()


# Time


async def test_a_connection_that_has_grown_old_is_told_to_come_back(neighbours: Neighbours) -> None:
    async with an_edge(neighbours, max_age_s=0.4) as edge:
        alice = await edge.session(a_name("alice"))
        disconnect = await alice.until(lambda frame: frame["type"] == "disconnect")
        assert (disconnect["code"], disconnect["slug"], disconnect["reconnect"]) == (4007, "connection_age", True)
        assert 0 <= disconnect["after_ms"] <= 1000
        alice.wire.reset()
