"""Whether the checker finds bugs: one after the other is woken in the services of a world."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from tests.faults.checker import violations
from tests.faults.inside.bugs import BUGS
from tests.faults.schedule import drawn
from tests.faults.world import World

RUNS: Final = 10  # until a bug must have been found
PATIENCE_S: Final = 10.0  # what did not come by then is missing: the edge looks after it within seconds
SECONDS: Final = 3.0  # of faults in a run


@dataclass(frozen=True, slots=True)
class Found:
    """In which run a bug was found, 0 for never; how many publications that took, and what the checker said."""

    run: int
    publications: int
    sentence: str


async def hunted(place: World, bug: str, *, seed: int, pause_s: float) -> Found:
    """Have runs with ``bug`` awake until the checker finds it, at most RUNS."""
    publications = 0
    parts = [part for part in place.parts if part in BUGS[bug]]
    place.wake(bug)
    try:
        for run in range(1, RUNS + 1):
            steps = drawn(seed + run, parts=parts, seconds=SECONDS) if parts else []
            name = f"b{seed + run}-{time.monotonic_ns() % 10**6}"
            outcome = await place.run(name, steps, Random(seed + run), pause_s=pause_s, patience_s=PATIENCE_S)
            publications += outcome.history.publications
            if found := violations(outcome.history):
                return Found(run, publications, found[0])
    finally:
        place.wake("")
    return Found(0, publications, "")


async def missed(place: World, bugs: Sequence[str], *, seed: int, pause_s: float) -> list[str]:
    """Hunt for ``bugs`` and print a table; return which were not found."""
    unseen = []
    print("planted bug      | found in run | publications till then | the checker's first sentence")
    for bug in bugs:
        found = await hunted(place, bug, seed=seed, pause_s=pause_s)
        print(f"{bug:16} | {found.run or 'never':12} | {found.publications:22} | {found.sentence}", flush=True)
        if not found.run:
            unseen.append(bug)
    return unseen
