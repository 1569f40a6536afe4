"""What came out of runs and of the hunts after them: kept as lines, added up."""

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.faults.schedule import Step
from tests.faults.world import Outcome

GOOD: Final = "good"
BROKEN: Final = "BAD"  # a promise was not kept
LATE: Final = "NOT SETTLED"  # nothing is wrong with what came, but not everything came in time


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one seed. ``faults``: (what, whom), whom without its number."""

    seed: int
    faults: list[tuple[str, str]]
    publications: int
    receipts: int
    connects: int
    reloads: int
    longest_wait_s: float
    seconds: float
    verdict: str

    @classmethod
    def of(cls, seed: int, steps: Sequence[Step], outcome: Outcome, found: Sequence[str]) -> "Run":
        """Judge an outcome in which ``found`` went wrong."""
        history = outcome.history
        return cls(
            seed,
            [(step.fault.value, step.kind) for step in steps],
            history.publications,
            history.receipts,
            history.connects,
            history.resets,
            round(history.longest_wait_s, 2),
            round(outcome.seconds, 1),
            BROKEN if found else GOOD if outcome.settled else LATE,
        )

    def __str__(self) -> str:
        return (
            f"seed {self.seed}: {len(self.faults)} faults, {self.publications} publications, {self.receipts} receipts, "
            f"{self.connects} connects, {self.reloads} reloads, longest wait {self.longest_wait_s:.1f} s, "
            f"{self.seconds:.0f} s: {self.verdict}"
        )


@dataclass(frozen=True, slots=True)
class Hunt:
    """In which run a planted bug was found, 0 for never; how many publications that took, and what the checker said."""

    bug: str
    run: int
    publications: int
    sentence: str

    def __str__(self) -> str:
        return f"{self.bug:16} | {self.run or 'never':12} | {self.publications:22} | {self.sentence}"


def keep(outcome: Run | Hunt, file: Path | None) -> None:
    """Print an outcome, and append it to ``file``."""
    print(outcome, flush=True)
    if file is not None:
        with file.open("a") as lines:
            lines.write(json.dumps(asdict(outcome)) + "\n")


def kept(file: Path) -> Iterator[Run | Hunt]:
    """Yield what was kept, in order."""
    for line in file.read_text().splitlines() if file.exists() else ():
        fields: dict[str, Any] = json.loads(line)
        if "bug" in fields:
            yield Hunt(**fields)
        else:
            yield Run(**{**fields, "faults": [(what, whom) for what, whom in fields["faults"]]})


@dataclass(slots=True)
class Totals:
    """What runs and hunts were together. ``hits``: by what and whom, how often and in how many publications' runs."""

    runs: list[Run] = field(default_factory=list)
    hunts: list[Hunt] = field(default_factory=list)

    def add(self, outcome: Run | Hunt) -> None:
        if isinstance(outcome, Run):
            self.runs.append(outcome)
        else:
            self.hunts.append(outcome)

    def well(self, bugs: Collection[str]) -> bool:
        """Return whether every run was good and each of ``bugs`` found."""
        return all(run.verdict == GOOD for run in self.runs) and {hunt.bug for hunt in self.hunts if hunt.run} == {
            *bugs
        }

    def summary(self) -> Mapping[str, Any]:
        """Return what the page is made of."""
        hits = Counter(fault for run in self.runs for fault in run.faults)
        waits = sorted(run.longest_wait_s for run in self.runs)
        return {
            "runs": len(self.runs),
            "seeds": [min(run.seed for run in self.runs), max(run.seed for run in self.runs)] if self.runs else [],
            "publications": sum(run.publications for run in self.runs),
            "receipts": sum(run.receipts for run in self.runs),
            "connects": sum(run.connects for run in self.runs),
            "reloads": sum(run.reloads for run in self.runs),
            "verdicts": dict(Counter(run.verdict for run in self.runs)),
            "not_good": [run.seed for run in self.runs if run.verdict != GOOD],
            "longest_wait_s": {"median": waits[len(waits) // 2], "most": waits[-1]} if waits else {},
            "faults": [
                {
                    "fault": what,
                    "hits": whom,
                    "times": times,
                    "runs": sum((what, whom) in run.faults for run in self.runs),
                    "publications": sum(run.publications for run in self.runs if (what, whom) in run.faults),
                    "not_good": sum(run.verdict != GOOD for run in self.runs if (what, whom) in run.faults),
                }
                for (what, whom), times in sorted(hits.items(), key=lambda each: (each[0][1], each[0][0]))
            ],
            "bugs": [asdict(hunt) for hunt in self.hunts],
        }

    def __str__(self) -> str:
        return (
            f"{len(self.runs)} runs, {sum(len(run.faults) for run in self.runs)} faults, "
            f"{sum(run.publications for run in self.runs)} acknowledged publications, "
            f"{sum(run.receipts for run in self.runs)} receipts, {sum(run.reloads for run in self.runs)} reloads, "
            f"{sum(run.verdict != GOOD for run in self.runs)} not good"
        )
