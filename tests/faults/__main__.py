"""`python -m tests.faults`: random faults against real clusters, and a checker that says what they cost.

Each run draws its faults from its seed, which is printed: ``--seed 17 --runs 1 --bugs`` has them again. Everything
happens in a network of its own, which needs root or user namespaces: packets are dropped there, and disks are full.
"""

import argparse
import asyncio
import json
import logging
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import uvloop

from tests.faults import isolation
from tests.faults.abreast import abreast
from tests.faults.inside.bugs import BUGS
from tests.faults.outcomes import Totals
from tests.faults.worlds import worlds


def _arguments(given: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--runs", type=int, default=200, help="how many (default %(default)s)")
    parser.add_argument(
        "--abreast", type=int, default=4, help="installations that have runs at the same time (default %(default)s)"
    )
    parser.add_argument("--minutes", type=float, default=60, help="begin no run after that (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the first run (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=6, help="of faults in a run (default %(default)s)")
    parser.add_argument(
        "--events", type=int, default=30, help="at least, of each of six teams in a run (default %(default)s)"
    )
    parser.add_argument("--pause", type=float, default=0.2, help="s between a team's events (default %(default)s)")
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
    parser.add_argument("--record", type=Path, help="where to append each run, as a line of JSON")
    parser.add_argument("--summary", type=Path, help="where to write what all runs were, for tests.faults.page")
    return parser.parse_args(given)


def main() -> int:
    """Run and return the exit code: 1 where a promise was broken, 2 where this machine cannot have it."""
    arguments = _arguments(sys.argv[1:])
    if why := isolation.impossible():
        print(f"no network of our own here: {why}", file=sys.stderr)
        return 2
    began = time.monotonic()
    if arguments.abreast > 1 and arguments.runs > 1:
        totals = asyncio.run(abreast(arguments, sys.argv[1:]))
    else:
        isolation.enter("tests.faults", sys.argv[1:])
        logging.disable(logging.CRITICAL)  # the clients' libraries tell of each connection that we cut
        totals = Totals()
        uvloop.run(worlds(arguments, totals))
    seconds = time.monotonic() - began
    print(f"{totals}, in {seconds:.0f} s")
    if arguments.summary:
        machine = {"cores": os.cpu_count(), "load": round(os.getloadavg()[2], 1)}
        told = {**totals.summary(), "nats_servers": int(arguments.nats_servers), "seconds": round(seconds), **machine}
        arguments.summary.write_text(json.dumps(told, indent=1) + "\n")
    return 0 if totals.well(arguments.bugs) else 1


if __name__ == "__main__":
    sys.exit(main())
