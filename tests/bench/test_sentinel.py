"""The sentinel tells what held up everybody."""

import asyncio
import os
import signal
import sys
from contextlib import AsyncExitStack

import pytest

from bench import __main__ as command
from bench.machine import go_ahead
from bench.sentinel import Sentinel


async def test_a_sentinel_that_was_held_up_says_for_how_long(ending: AsyncExitStack) -> None:
    sentinel = await Sentinel.start()
    ending.push_async_callback(sentinel.stop)
    await sentinel.reset()
    os.kill(sentinel.pid, signal.SIGSTOP)
    await asyncio.sleep(0.03)  # the machine has no time for it
    os.kill(sentinel.pid, signal.SIGCONT)
    lateness = await sentinel.lateness()
    while not lateness.times:
        lateness = await sentinel.lateness()
    assert lateness.longest_us > 25_000
    await sentinel.reset()
    assert (await sentinel.lateness()).times < 1_000


def test_who_goes_ahead_is_scheduled_in_real_time(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "sched_setscheduler", lambda pid, policy, _: asked.append((pid, policy)))
    go_ahead()
    assert asked == [(0, os.SCHED_RR)]


def test_who_may_not_go_ahead_is_told_what_it_takes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    monkeypatch.setattr(sys, "argv", ["bench", "--ahead"])
    with pytest.raises(SystemExit):
        command.main()
    assert "--ahead needs root" in capsys.readouterr().err
