"""Whether the checker finds bugs: one after the other is woken in the services of a world."""

import time
from random import Random
from typing import Final

from tests.faults.checker import violations
from tests.faults.inside.bugs import BUGS
from tests.faults.outcomes import Hunt
from tests.faults.schedule import drawn
from tests.faults.world import World

RUNS: Final = 10  # until a bug must have been found
PATIENCE_S: Final = 10.0  # what did not come by then is missing: the edge looks after it within seconds
SECONDS: Final = 3.0  # of faults in a run


async def hunted(place: World, bug: str, *, seed: int, pause_s: float) -> Hunt:
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
                return Hunt(bug, run, publications, found[0])
    finally:
        place.wake("")
    return Hunt(bug, 0, publications, "")
