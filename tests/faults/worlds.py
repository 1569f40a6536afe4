"""Run after run in one installation, and another one after so many."""

import argparse
import asyncio
import shutil
import signal
import tempfile
import time
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from random import Random
from typing import Final

from tests.faults.checker import violations
from tests.faults.hunt import hunted
from tests.faults.outcomes import GOOD, Run, Totals, keep
from tests.faults.schedule import drawn
from tests.faults.world import World, world

SHOWN: Final = 12  # of what went wrong in a run
START_TRIES: Final = 4
RUNS_OF_A_WORLD: Final = 20  # then it begins anew: what its streams keep would fill the disks


async def worlds(arguments: argparse.Namespace, totals: Totals) -> None:
    """Have run after run, a world anew after every so many and after each that was not good; then plant bugs in one
    that is well. Fills ``totals``.
    """
    this = asyncio.current_task()
    assert this is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)  # or the installation would stay behind
    until = time.monotonic() + arguments.minutes * 60
    seeds = list(range(arguments.seed, arguments.seed + arguments.runs))
    last, idle = False, 0
    while not last:
        with tempfile.TemporaryDirectory(prefix="faults-") as folder:
            good, seed = True, 0
            async with AsyncExitStack() as stack:
                try:
                    place = await stack.enter_async_context(_world(Path(folder), arguments))
                except AssertionError as trouble:  # a machine that is too busy for an installation to start in time
                    idle += 1
                    if idle == START_TRIES:
                        raise
                    print(f"another installation: {str(trouble).partition(chr(10))[0]}", flush=True)
                    continue
                idle = 0
                for _ in range(RUNS_OF_A_WORLD):
                    if not seeds or not good or time.monotonic() > until:
                        break
                    seed = seeds.pop(0)
                    good = await _one(place, seed, arguments, totals)
                done = not seeds or time.monotonic() > until
                last = done and (good or not arguments.bugs)
                if last and good:
                    await _hunt(place, arguments, totals)
            if not good and arguments.logs:
                shutil.copytree(Path(folder) / "store/logs", arguments.logs / f"seed-{seed}", dirs_exist_ok=True)


def _world(folder: Path, arguments: argparse.Namespace) -> AbstractAsyncContextManager[World]:
    return world(folder, nats_servers=int(arguments.nats_servers), edges=arguments.edges, one_in=arguments.one_in)


async def _one(place: World, seed: int, arguments: argparse.Namespace, totals: Totals) -> bool:
    """Have one run; return whether all went well."""
    steps = drawn(seed, parts=arguments.parts or place.parts, seconds=arguments.seconds)
    name = f"r{seed}-{time.monotonic_ns() % 10**6}"
    outcome = await place.run(
        name, steps, Random(seed), pause_s=arguments.pause, patience_s=arguments.patience, events=arguments.events
    )
    found = violations(outcome.history)
    run = Run.of(seed, steps, outcome, found)
    totals.add(run)
    keep(run, arguments.record)
    if run.verdict == GOOD:
        return True
    held = await place.evidence(outcome.history)
    print("\n".join(f"    {seed}: {line}" for line in (*map(str, steps), *found[:SHOWN], *held[:SHOWN])), flush=True)
    return False


async def _hunt(place: World, arguments: argparse.Namespace, totals: Totals) -> None:
    if arguments.bugs:
        print("planted bug      | found in run | publications till then | the checker's first sentence")
    for bug in arguments.bugs:
        found = await hunted(place, bug, seed=arguments.seed, pause_s=arguments.pause)
        totals.add(found)
        keep(found, arguments.record)
