"""`python -m tests.faults`: random faults against a real cluster, and a checker that says what they cost.

Each run draws its faults from its seed, which is printed: ``--seed 17 --runs 1 --bugs`` has them again. Everything
happens in a network of its own, which needs root or user namespaces: packets are dropped there, and disks are full.
"""

import argparse
import asyncio
import logging
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

import uvloop

from tests.faults import isolation
from tests.faults.checker import violations
from tests.faults.hunt import missed
from tests.faults.inside.bugs import BUGS
from tests.faults.schedule import Step, drawn
from tests.faults.world import Outcome, World, world

SHOWN: Final = 12  # of what went wrong in a run
RUNS_OF_A_WORLD: Final = 20  # then it begins anew: what its streams keep would fill the disks


@dataclass(slots=True)
class Totals:
    """What all runs together were."""

    runs: int = 0
    bad: int = 0
    faults: int = 0
    publications: int = 0
    receipts: int = 0
    resets: int = 0

    def add(self, steps: list[Step], outcome: Outcome, *, bad: bool) -> None:
        self.runs += 1
        self.bad += bad
        self.faults += len(steps)
        self.publications += outcome.history.publications
        self.receipts += outcome.history.receipts
        self.resets += outcome.history.resets


async def _one(place: World, seed: int, arguments: argparse.Namespace, totals: Totals) -> bool:
    """Have one run; return whether all went well."""
    steps = drawn(seed, parts=arguments.parts or place.parts, seconds=arguments.seconds)
    name = f"r{seed}-{time.monotonic_ns() % 10**6}"
    outcome = await place.run(name, steps, Random(seed), pause_s=arguments.pause, patience_s=arguments.patience)
    found = violations(outcome.history)
    bad = bool(found) or not outcome.settled
    totals.add(steps, outcome, bad=bad)
    verdict = "BAD" if found else "good" if outcome.settled else "NOT SETTLED"
    history = outcome.history
    print(
        f"seed {seed}: {len(steps)} faults, {history.publications} publications, {history.receipts} receipts, "
        f"{history.connects} connects, {history.resets} reloads, {outcome.seconds:.0f} s: {verdict}",
        flush=True,
    )
    if bad:
        print("\n".join(f"    {line}" for line in (*map(str, steps), *found[:SHOWN])), flush=True)
    return not bad


async def _worlds(arguments: argparse.Namespace) -> int:
    """Have run after run, a world anew after every so many and after each that was not good; then plant bugs in the
    last one.
    """
    this = asyncio.current_task()
    assert this is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)  # or the installation would stay behind
    totals = Totals()
    began = time.monotonic()
    until = began + arguments.minutes * 60
    seeds = list(range(arguments.seed, arguments.seed + arguments.runs))
    unseen: list[str] = []
    last = False
    while not last:
        with tempfile.TemporaryDirectory(prefix="faults-") as folder:
            good, seed = True, 0
            async with world(
                Path(folder),
                nats_servers=int(arguments.nats_servers),
                edges=arguments.edges,
                one_in=arguments.one_in,
            ) as place:
                for _ in range(RUNS_OF_A_WORLD):
                    if not seeds or not good or time.monotonic() > until:
                        break
                    seed = seeds.pop(0)
                    good = await _one(place, seed, arguments, totals)
                last = not seeds or time.monotonic() > until
                if last and good and arguments.bugs:
                    unseen = await missed(place, arguments.bugs, seed=arguments.seed, pause_s=arguments.pause)
            if not good and arguments.logs:
                shutil.copytree(Path(folder) / "store/logs", arguments.logs / f"seed-{seed}", dirs_exist_ok=True)
    print(
        f"{totals.runs} runs, {totals.faults} faults, {totals.publications} acknowledged publications, "
        f"{totals.receipts} receipts, {totals.resets} reloads, {totals.bad} bad, in {time.monotonic() - began:.0f} s"
    )
    return 1 if totals.bad or unseen else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--runs", type=int, default=200, help="how many (default %(default)s)")
    parser.add_argument("--minutes", type=float, default=90, help="begin no run after that (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the first run (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=6, help="of faults in a run (default %(default)s)")
    parser.add_argument("--pause", type=float, default=0.002, help="s between a team's events (default %(default)s)")
    parser.add_argument("--patience", type=float, default=90, help="s for all to be well again (default %(default)s)")
    parser.add_argument("--nats-servers", default="3", choices=("1", "3"))
    parser.add_argument("--edges", type=int, default=2, choices=(1, 2))
    parser.add_argument("--parts", nargs="*", default=(), help="hit nothing but these, e.g. wire-edge notifier")
    parser.add_argument(
        "--bugs", nargs="*", default=list(BUGS), choices=list(BUGS), help="to plant then, for the checker to find"
    )
    parser.add_argument(
        "--one-in", type=int, default=2000, help="publications is spoilt by a bug (default %(default)s)"
    )
    parser.add_argument("--logs", type=Path, help="where to keep the logs of runs that are not good")
    return parser.parse_args()


def main() -> int:
    """Run and return the exit code: 1 where a promise was broken, 2 where this machine cannot have it."""
    arguments = _arguments()
    if why := isolation.impossible():
        print(f"no network of our own here: {why}", file=sys.stderr)
        return 2
    isolation.enter("tests.faults", sys.argv[1:])
    logging.disable(logging.CRITICAL)  # the clients' libraries tell of each connection that we cut
    return int(uvloop.run(_worlds(arguments)))


if __name__ == "__main__":
    sys.exit(main())
