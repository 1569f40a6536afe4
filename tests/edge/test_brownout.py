"""When a pod sheds load: the machine by itself, then a whole edge with an overload that is real to it."""

import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.edge.edges import Edge, an_edge, eventually
from tests.edge.neighbours import Neighbours, a_name
from tests.edge.peers import Peer, get_stream, poll, request, upgrade
from whimbrel.edge.core.brownout import LATENESS_CALM, MEMORY_CALM, Bounds, Brownout
from whimbrel.edge.shell.watch import Watch
from whimbrel.runtime.metrics import resident_bytes

BOUNDS = Bounds(lag_s=0.2, memory_bytes=1000, after_s=3.0, calm_s=30.0)
FINE = (0.0, 500)


def looks(brownout: Brownout, began: float, *found: tuple[float, int]) -> list[bool]:
    """Have one look per second and return whether each changed something."""
    return [
        brownout.observe(lag_s=lag, memory_bytes=memory, now=began + second)
        for second, (lag, memory) in enumerate(found)
    ]


def a_brownout() -> Brownout:
    brownout = Brownout(BOUNDS)
    looks(brownout, 0.0, *[(0.3, 500)] * 4)
    assert brownout.active
    return brownout


@pytest.mark.parametrize("found", [(0.2, 500), (5.0, 500), (0.0, 1000), (0.2, 1000)])
def test_strain_of_any_kind_that_lasts_begins_a_brownout(found: tuple[float, int]) -> None:
    brownout = Brownout(BOUNDS)
    assert looks(brownout, 10.0, *[found] * 4) == [False, False, False, True]
    assert brownout.active
    assert brownout.reason


def test_a_hiccup_begins_nothing() -> None:
    brownout = Brownout(BOUNDS)
    for _ in range(10):
        assert not any(looks(brownout, 10.0, (2.0, 500), (2.0, 500), (2.0, 500), FINE))


def test_only_calm_that_lasts_ends_it() -> None:
    brownout = a_brownout()
    hovering = (0.19, 950)
    assert not any(looks(brownout, 100.0, *[hovering] * 1000)), "below the bounds, but not well below"
    assert not any(looks(brownout, 2000.0, *[FINE] * 29, hovering, *[FINE] * 29))
    assert looks(brownout, 2059.0, FINE, FINE) == [False, True]
    assert not brownout.active


def test_the_reason_names_what_was_found() -> None:
    brownout = Brownout(Bounds(lag_s=0.2, memory_bytes=1 << 30, after_s=0.0, calm_s=30.0))
    brownout.observe(lag_s=0.5, memory_bytes=3 << 30, now=1.0)
    assert brownout.reason == "the loop is 0.50 s late and 3072 MiB of memory"


@given(
    st.lists(
        st.tuples(st.floats(0.01, 5), st.floats(0, 0.5), st.integers(0, 2000)),
        max_size=200,
    )
)
def test_it_begins_after_nothing_but_strain_and_ends_after_nothing_but_calm(
    found: list[tuple[float, float, int]],
) -> None:
    brownout = Brownout(BOUNDS)
    now, seen = 100.0, list[tuple[float, bool, bool]]()
    for pause, lag, memory in found:
        now += pause
        before = brownout.active
        changed = brownout.observe(lag_s=lag, memory_bytes=memory, now=now)
        strained = lag >= BOUNDS.lag_s or memory >= BOUNDS.memory_bytes
        calm = lag < LATENESS_CALM * BOUNDS.lag_s and memory < MEMORY_CALM * BOUNDS.memory_bytes
        seen.append((now, strained, calm))
        assert changed == (before != brownout.active)
        assert brownout.strained == strained
        lasting = BOUNDS.calm_s if before else BOUNDS.after_s
        run = [at for at, *each in reversed(seen)]
        holds = 0
        for _, is_strained, is_calm in reversed(seen):
            if not (is_calm if before else is_strained):
                break
            holds += 1
        due = holds > 0 and now - run[holds - 1] >= lasting
        assert changed == due, "exactly when what was found has lasted, neither earlier nor later"


# A whole edge

pytest_whole = pytest.mark.asyncio(loop_scope="module")


async def policy(peer: Peer) -> dict[str, object]:
    return await peer.until(lambda frame: frame["type"] == "policy")


async def advice(edge: Edge, token: str) -> dict[str, object]:
    answer = await edge.ask(request("GET", "/v1/transports", authorization=f"Bearer {token}"))
    assert isinstance(answer.json, dict)
    return answer.json


@pytest_whole
async def test_a_loop_that_is_late_turns_clients_to_polling_and_takes_them_back(neighbours: Neighbours) -> None:
    quick = {"brownout_after_s": 0.5, "brownout_calm_s": 0.6, "brownout_spread_s": 0.5, "brownout_poll_s": 7}
    async with an_edge(neighbours, brownout_lag_s=0.05, **quick) as edge:
        order, token = f"orders:{a_name('o')}", neighbours.token(a_name("bob"))
        alice = await edge.session(a_name("alice"), order)
        loop = asyncio.get_running_loop()
        busy = True

        def turn() -> None:  # each turn of the loop takes longer than the bound
            if busy:
                time.sleep(0.08)
                loop.call_soon(turn)

        turn()
        told = await policy(alice)
        assert (told["transports"], told["poll"]) == (["poll"], {"interval": 7})
        assert edge.service.health.reasons[0].startswith("load: the loop is 0.")
        assert await advice(edge, token) == {name: value for name, value in told.items() if name != "type"}
        for raw in (upgrade(), get_stream(token, order)):
            refused = await edge.ask(raw)
            assert (refused.status, refused.json["code"]) == (503, 4008)
            assert 3500 <= refused.json["retry_after_ms"] <= 10_500
        assert (await edge.ask(poll(token, {order: None}))).status == 200, "polls are served"
        await neighbours.publish(order, "still here")
        assert await alice.data(1) == ["still here"], "and so is who stays"

        busy = False
        told = await policy(alice)
        assert (told["transports"], told["poll"]) == (["websocket", "sse", "poll"], {"interval": 5})
        await eventually(lambda: edge.service.health.is_ready)
        assert (await edge.ask(upgrade())).status == 101


@pytest_whole
async def test_memory_over_the_bound_turns_clients_to_polling_while_it_lasts(neighbours: Neighbours) -> None:
    bound = resident_bytes() + 64 * 1024 * 1024
    settings = {"brownout_memory_bytes": bound, "brownout_after_s": 0, "brownout_calm_s": 0, "brownout_spread_s": 1}
    async with an_edge(neighbours, brownout_lag_s=60, **settings) as edge:
        peers = [await edge.session(a_name("alice")) for _ in range(8)]
        hoard = bytearray(128 * 1024 * 1024)
        assert (await policy(peers[0]))["transports"] == ["poll"]
        await asyncio.gather(*(policy(peer) for peer in peers[1:]))
        assert not edge.service.health.is_ready
        [watch] = [each for look in edge.service.vitals.on_look if isinstance(each := look.__self__, Watch)]  # type: ignore[attr-defined]
        for peer in peers[1:]:
            await peer.wire.close()
        await eventually(lambda: watch._told == list(edge.pod.connections))  # who left is not held
        del hoard
        assert (await policy(peers[0]))["transports"][0] == "websocket"  # type: ignore[index]
