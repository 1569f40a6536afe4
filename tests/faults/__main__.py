"""`python -m tests.faults`: random faults against a real cluster, and a checker that says what they cost.

Each run draws its faults from its seed, which is printed: ``--seed 17 --runs 1`` has it again.
"""

import argparse
import asyncio
import logging
import sys
import tempfile
import time
from pathlib import Path
from random import Random
from typing import Final

from tests.faults.checker import violations
from tests.faults.schedule import drawn
from tests.faults.world import World, world
from tests.support.dev import running

IMPATIENT: Final = {"WHIMBREL_EDGE_PING_S": "1", "WHIMBREL_EDGE_PONG_S": "2"}  # clients take silence for death


async def _runs(place: World, arguments: argparse.Namespace) -> int:
    bad = publications = receipts = resets = 0
    began = time.monotonic()
    for seed in range(arguments.seed, arguments.seed + arguments.runs):
        steps = drawn(seed, parts=place.parts, seconds=arguments.seconds)
        outcome = await place.run(f"r{seed}-{int(began)}", steps, Random(seed), pause_s=arguments.pause)
        found = violations(outcome.history)
        bad += bool(found) or not outcome.settled
        publications += outcome.publications
        receipts += outcome.receipts
        verdict = "good" if not found and outcome.settled else "BAD" if found else "NOT SETTLED"
        print(
            f"seed {seed}: {len(steps)} faults, {outcome.publications} publications, {outcome.receipts} receipts, "
            f"{outcome.history.connects} connects: {verdict}",
            flush=True,
        )
        if found or not outcome.settled:
            print("\n".join(f"    {line}" for line in (*map(str, steps), *found[:20])), flush=True)
    seconds = time.monotonic() - began
    print(
        f"{arguments.runs} runs, {publications} acknowledged publications, {receipts} receipts, {resets} reloads, "
        f"{bad} bad, in {seconds:.0f} s"
    )
    return 1 if bad else 0


def main() -> int:
    """Run and return the exit code: 1 where a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--runs", type=int, default=200, help="how many (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the first run (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=6, help="of faults in a run (default %(default)s)")
    parser.add_argument("--pause", type=float, default=0.005, help="s between a channel's events (default %(default)s)")
    parser.add_argument("--nats-servers", default="3", choices=("1", "3", "5"))
    parser.add_argument("--edges", default="2")
    parser.add_argument("--folder", type=Path, help="where to keep the store and the logs (default: nowhere)")
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)  # the clients' libraries tell of each connection that we cut

    async def everything() -> int:
        options = ("--nats-servers", arguments.nats_servers, "--edges", arguments.edges)
        with (
            tempfile.TemporaryDirectory() as folder,
            running(arguments.folder or Path(folder), *options, **IMPATIENT) as development,
        ):
            async with world(development) as place:
                return await _runs(place, arguments)

    return asyncio.run(everything())


if __name__ == "__main__":
    sys.exit(main())
