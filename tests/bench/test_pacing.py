"""Open loop: a slow beat makes the next ones late, and they say so."""

import time
from itertools import pairwise

import pytest

from bench.pacing import beats
from tests.support.waiting import within


async def test_beats_are_due_at_the_rate() -> None:
    due: list[int] = []
    await within(beats(1000, 20, lambda _, due_ns: due.append(due_ns)))
    assert [later - sooner for sooner, later in pairwise(due)] == [1_000_000] * 19


async def test_no_beat_comes_early() -> None:
    early: list[int] = []
    await within(beats(2000, 10, lambda _, due_ns: early.append(max(0, due_ns - time.monotonic_ns()))))
    assert early == [0] * 10


async def test_after_a_slow_beat_the_others_keep_their_times() -> None:
    due: list[int] = []

    def beat(number: int, due_ns: int) -> None:
        due.append(due_ns)
        if number == 0:
            time.sleep(0.02)  # as a publisher that is held up

    await within(beats(1000, 5, beat))
    assert [each - due[0] for each in due] == [0, 1_000_000, 2_000_000, 3_000_000, 4_000_000]


async def test_a_beat_that_fails_ends_the_run() -> None:
    def beat(number: int, due_ns: int) -> None:
        raise ValueError("no bus")

    with pytest.raises(ValueError, match="no bus"):
        await within(beats(1000, 5, beat))
