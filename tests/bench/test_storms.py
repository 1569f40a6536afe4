"""Small storms over real processes: what `python -m bench.storms` raises with thousands of clients."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio

from bench.storms import crash, drain, slow
from bench.storms.fleet import Fleet
from bench.storms.herd import Herd, Return
from bench.storms.verdict import Verdict, at_most, none, noted, table

TIMED = {  # figures of a machine that has the time: here others are at work, and clients are few
    "p99 of the others, × that before",
    "p99 of the healthy, × that without stuck readers",
    "an edge was gone after",
    "most connects within a second, × the mean",
}
DRAIN_S = STUCK_S = 3.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Fleet]:
    settings = {"drain_s": DRAIN_S, "stuck_s": STUCK_S, "outbox_bytes": slow.OUTBOX_BYTES}
    one = await Fleet.of(tmp_path_factory.mktemp("fleet"), 2, **{name: str(value) for name, value in settings.items()})
    yield one
    await one.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def herds(tmp_path: Path) -> AsyncIterator[tuple[Herd, Herd]]:
    async with AsyncExitStack() as ending:
        one, two = await Herd.start(tmp_path), await Herd.start(tmp_path)
        for each in (one, two):
            ending.push_async_callback(each.stop)
        yield one, two


def assert_all_hold(verdicts: Sequence[Verdict]) -> None:
    broken = [each for each in verdicts if not each.holds and each.what not in TIMED]
    assert not broken, "\n".join(table("broken", broken))


@pytest.mark.asyncio(loop_scope="module")
async def test_clients_of_an_edge_that_is_killed_come_back_and_miss_nothing(
    fleet: Fleet, herds: tuple[Herd, Herd]
) -> None:
    assert_all_hold(await crash.measure(fleet, *herds, clients=60, rounds=2))


@pytest.mark.asyncio(loop_scope="module")
async def test_clients_of_an_edge_that_leaves_move_and_miss_nothing(fleet: Fleet, herds: tuple[Herd, Herd]) -> None:
    verdicts = await drain.measure(fleet, herds[0], clients=60, edges=["edge-2"], drain_s=DRAIN_S)
    assert_all_hold(verdicts)
    [moved] = [each.found for each in verdicts if each.what == "connections moved before the old one closed"]
    assert int(moved.split()[0]) > 0, "of about 30; whoever has no time for it within 3 s comes back after the close"


@pytest.mark.asyncio(loop_scope="module")
async def test_readers_that_wake_in_time_catch_up_and_the_others_are_closed(
    fleet: Fleet, herds: tuple[Herd, Herd]
) -> None:
    verdicts = await slow.measure(fleet, herds[0], healthy=50, stuck=30, publications=150, per_s=100, stuck_s=STUCK_S)
    assert_all_hold(verdicts)
    [fell_behind] = [each.found for each in verdicts if each.what == "taken off live delivery"]
    assert int(fell_behind) >= 30


def test_the_peak_is_that_of_the_worst_second() -> None:
    even = [Return(at * 100_000_000, 0) for at in range(100)]
    assert drain.peak(even) == pytest.approx(1.1, rel=0.05)
    assert drain.peak([*even, *[Return(5_000_000_000, 0)] * 40]) == pytest.approx(3.6, rel=0.05)


def test_a_verdict_says_what_was_found_and_whether_it_holds() -> None:
    lines = table("A storm", [at_most("back after", 31, 30, "s"), none("lost", ""), noted("clients", "3")])
    assert [line.split()[-1] for line in lines] == ["storm", "BROKEN", "kept", "3"]
