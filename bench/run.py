"""A whole run: the machine, the rows, and whether others were at work."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bench.machine import Machine
from bench.report import Row, table

BUSY_LOAD: Final = 1.5  # a load average above it, before we start, means that others work on this machine
BUSY_CORES: Final = 0.2  # taken by others while we measured: a tenth of a machine with two


@dataclass(frozen=True, slots=True)
class Run:
    """``others_cores`` were kept busy by others meanwhile; ``peers`` are versions by name.

    ``broken`` tells why a part has no rows; ``ahead``: what others did had to wait for us.
    """

    machine: Machine
    rows: Sequence[Row]
    rounds: int
    seconds: float
    others_cores: float
    peers: Mapping[str, str]
    broken: Mapping[str, str]
    ahead: bool = False

    @property
    def busy(self) -> bool:
        """Whether others were at work: then compare within a row, and take absolute values as upper bounds."""
        return self.machine.load > BUSY_LOAD or self.others_cores > BUSY_CORES

    def record(self) -> dict[str, Any]:
        """Return the run for machines."""
        return {
            "machine": self.machine.record(),
            "busy": self.busy,
            "ahead": self.ahead,
            "others_cores": round(self.others_cores, 2),
            "peers": dict(self.peers),
            "broken": dict(self.broken),
            "rounds": self.rounds,
            "seconds": round(self.seconds, 1),
            "rows": [row.record() for row in self.rows],
        }

    def __str__(self) -> str:
        others = f"others took {self.others_cores:.2f} cores meanwhile{', behind us' if self.ahead else ''}"
        versions = ", ".join(f"{name} {version}" for name, version in self.peers.items())
        head = f"{'BUSY: ' if self.busy else ''}{self.machine}, {others}"
        return "\n".join(
            [
                "",
                head,
                *([versions] if versions else []),
                "",
                *table(self.rows),
                *(f"no figures of {part}: {why}" for part, why in self.broken.items()),
            ]
        )
