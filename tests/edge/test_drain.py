"""A pod that leaves: its clients move one by one, and miss nothing."""

import asyncio
import itertools

import pytest
from hypothesis import given
from hypothesis.strategies import floats

from tests.edge.edges import Edge, an_edge, eventually
from tests.edge.neighbours import Neighbours, a_name
from tests.edge.peers import CLOSE, Peer, masked, poll, upgrade
from tests.support.waiting import within
from whimbrel.edge.shell import drain as drains
from whimbrel.edge.shell.drain import Plan, drain
from whimbrel.edge.shell.sweeps import Sweeps

CLIENTS = 8


async def a_full_edge(edge: Edge, order: str) -> list[Peer]:
    return [await edge.session(a_name("alice"), order) for _ in range(CLIENTS)]


async def told(peer: Peer) -> int:
    """Return in how many ms the client is to move."""
    frame = await peer.until(lambda frame: frame["type"] == "disconnect")
    assert (frame["code"], frame["slug"], frame["reconnect"]) == (4000, "draining", True)
    return int(frame["after_ms"])


@pytest.mark.asyncio(loop_scope="module")
async def test_each_client_is_told_its_own_time_and_served_until_it_has_moved(neighbours: Neighbours) -> None:
    async with an_edge(neighbours) as edge:
        order = f"orders:{a_name('o')}"
        peers = await a_full_edge(edge, order)
        draining = asyncio.create_task(drain(edge.pod, 20))
        after_ms = sorted([await told(peer) for peer in peers])
        window = Plan.of(20).window
        steps = [later - earlier for earlier, later in itertools.pairwise(after_ms)]
        assert max(steps) < 1.5 * 1000 * window / CLIENTS
        assert max(after_ms) > 1000 * window * 0.8
        await neighbours.publish(order, "still here")
        for peer in peers:
            assert await peer.data(1) == ["still here"]
            assert (await peer.ask("history", channel=order))["type"] == "ok"
        refused = await edge.ask(upgrade())
        assert (refused.status, refused.json["detail"]) == (503, "the pod is leaving")
        for peer in peers:
            await peer.close()
        await within(draining)  # nobody is waited for who has moved
        assert edge.nothing_left


@pytest.mark.asyncio(loop_scope="module")
async def test_who_does_not_move_is_closed_when_its_time_is_over_one_by_one(neighbours: Neighbours) -> None:
    async with an_edge(neighbours) as edge:
        peers = await a_full_edge(edge, f"orders:{a_name('o')}")
        stranger = await edge.socket()
        loop = asyncio.get_running_loop()
        closed: list[float] = []

        async def stay(peer: Peer) -> None:
            after = await told(peer) / 1000
            began = loop.time()
            assert await told(peer) == 0
            assert loop.time() - began >= after
            closed.append(loop.time())
            assert (await peer.raw())[0] == CLOSE
            peer.wire.send(masked((4000).to_bytes(2, "big"), CLOSE))

        began = loop.time()
        draining = asyncio.create_task(drain(edge.pod, 1))
        await within(asyncio.gather(*(stay(peer) for peer in peers)))
        assert await stranger.close_code() == 4000
        stranger.wire.send(masked((4000).to_bytes(2, "big"), CLOSE))
        await within(draining)
        assert loop.time() - began < 1
        assert max(closed) - min(closed) > Plan.of(1).window / 2
        assert edge.nothing_left


@pytest.mark.asyncio(loop_scope="module")
async def test_nobody_is_told_long_before_it_is_to_move(
    neighbours: Neighbours, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drains, "NOTICE_S", 0.1)
    async with an_edge(neighbours) as edge:
        peers = await a_full_edge(edge, f"orders:{a_name('o')}")
        draining = asyncio.create_task(drain(edge.pod, 1))
        for after_ms in await within(asyncio.gather(*(told(peer) for peer in peers))):
            assert 0 < after_ms <= 100
        for peer in peers:
            await peer.close()
        await within(draining)


@pytest.mark.asyncio(loop_scope="module")
async def test_polls_wait_on_for_their_turn_and_are_answered_with_their_positions(neighbours: Neighbours) -> None:
    async with an_edge(neighbours) as edge:
        order = f"orders:{a_name('o')}"
        await neighbours.publish(order, "before")
        wires, channels = [], {}
        for _ in range(4):
            wire = await edge.wire()
            wire.send(poll(neighbours.token(a_name("alice")), {order: None}))
            channels = (await wire.answer()).json["channels"]
            wire.send(poll(neighbours.token(a_name("alice")), {order: channels[order]}, wait=50))
            wires.append(wire)
        await eventually(lambda: edge.pod.counters.open["poll"] == len(wires))
        loop = asyncio.get_running_loop()
        draining = asyncio.create_task(drain(edge.pod, 1))
        answered: list[float] = []
        for answer in asyncio.as_completed([asyncio.ensure_future(wire.answer()) for wire in wires]):
            got = await answer
            answered.append(loop.time())
            assert (got.status, got.json["frames"]) == (200, [])
            assert got.json["channels"][order]["offset"] == channels[order]["offset"]
            assert got.headers["connection"] == "close"
        await within(draining)
        assert answered[-1] - answered[0] > Plan.of(1).window / 2
        assert edge.nothing_left


@given(floats(0, 3600))
def test_a_drain_is_over_before_its_deadline(drain_s: float) -> None:
    plan = Plan.of(drain_s)
    assert plan.window + plan.move + plan.closing <= drain_s
    assert plan.window >= drain_s / 2


@pytest.mark.asyncio(loop_scope="module")
async def test_an_edge_of_which_a_part_fails_drains_and_ends_with_the_fault(
    neighbours: Neighbours, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = asyncio.Event()

    async def run(_: Sweeps) -> None:
        await failing.wait()
        raise ZeroDivisionError

    async def serve() -> None:
        async with an_edge(neighbours) as edge:
            failing.set()
            await within(edge.service.stopping.wait())

    monkeypatch.setattr(Sweeps, "run", run)
    with pytest.raises(ZeroDivisionError):
        await serve()
