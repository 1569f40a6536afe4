"""What a process knows of its own health."""

import asyncio
import gc
import time
from collections.abc import Iterator

import pytest

from tests.support.waiting import within
from whimbrel.runtime.metrics import Metrics
from whimbrel.runtime.vitals import INTERVAL_S, REMEMBERED, Vitals, until_beat


@pytest.fixture
def vitals() -> Iterator[Vitals]:
    vitals = Vitals()
    yield vitals
    vitals.stop()


async def looks(vitals: Vitals, number: int) -> None:
    """Wait for the next ``number`` looks."""
    seen = asyncio.Semaphore(0)
    vitals.on_look.append(seen.release)
    for _ in range(number):
        await within(seen.acquire())
    vitals.on_look.remove(seen.release)


async def test_a_loop_that_is_held_up_is_late_until_it_is_forgotten(vitals: Vitals) -> None:
    vitals.start()
    await looks(vitals, 1)
    time.sleep(INTERVAL_S + 0.3)  # noqa: ASYNC251  # the fault: somebody blocks the loop
    await looks(vitals, 1)
    assert vitals.lag_s >= 0.29
    assert sum(vitals.lags.counts[-4:]) >= 1, "a lag over 0.25 s is counted where it belongs"
    late = vitals.lag_s
    await looks(vitals, REMEMBERED)
    assert vitals.lag_s < late


async def test_each_collection_is_a_pause_and_none_is_counted_after_the_end(vitals: Vitals) -> None:
    vitals.start()
    before = sum(vitals.pauses.counts)
    gc.collect()
    assert sum(vitals.pauses.counts) == before + 1
    assert vitals.pauses.total > 0
    vitals.stop()
    gc.collect()
    assert sum(vitals.pauses.counts) == before + 1


async def test_what_was_seen_is_exposed(vitals: Vitals) -> None:
    metrics = Metrics()
    vitals.expose(metrics)
    vitals.start()
    await looks(vitals, 2)
    text = metrics.exposition().decode()
    assert "whimbrel_loop_lag_seconds_count 2\n" in text
    assert 'whimbrel_gc_pause_seconds_bucket{le="+Inf"}' in text
    assert vitals.resident_bytes > 1_000_000


def test_whoever_comes_by_often_comes_by_together() -> None:
    assert until_beat(0.25, now=10.1) == pytest.approx(0.15)
    assert until_beat(1.0, now=10.1) == pytest.approx(0.9)
    assert until_beat(0.25, now=10.2499) == pytest.approx(0.2501), "a timer that fired a little early comes once"
