"""CPU time and memory of other processes, and what a few measurements of the same thing say together."""

import asyncio
import math
import os
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

QUIET_SHARE: Final = 0.04  # of one core: a process below it is done with what it was given
QUIET_LOOK_S: Final = 0.15
_CPU_CLOCK_SCHED: Final = 2  # linux/posix-timers.h: a process's clock is (~pid << 3) | 2, see clock_getcpuclockid(3)


def cpu_ns(pid: int) -> int:
    """Return the CPU time that a process has used: user and system, all threads, those that ended too."""
    return time.clock_gettime_ns(~pid << 3 | _CPU_CLOCK_SCHED)


def resident_bytes(pid: int) -> int:
    """Return the memory of a process that is in RAM; what the kernel holds for its sockets is not in it."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


class Meter:
    """CPU time of several processes, by name."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self.pids = pids

    def read(self) -> dict[str, int]:
        """Return the CPU time (ns) that each has used so far."""
        return {name: cpu_ns(pid) for name, pid in self.pids.items()}

    def since(self, before: Mapping[str, int]) -> dict[str, int]:
        """Return the CPU time (ns) that each has used since ``before``."""
        return {name: used - before[name] for name, used in self.read().items()}

    async def settled(self, *, patience_s: float = 10.0) -> None:
        """Wait until all are done with what they were given, but not for ever: others may give them work too."""
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            before, began = self.read(), time.monotonic_ns()
            await asyncio.sleep(QUIET_LOOK_S)
            if max(self.since(before).values()) < QUIET_SHARE * (time.monotonic_ns() - began):
                return


@dataclass(frozen=True, slots=True)
class Spread:
    """One value of each round, at least one."""

    rounds: tuple[float, ...]

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Summarise ``values``."""
        return cls(tuple(values))

    @property
    def median(self) -> float:
        """The middle of them."""
        return statistics.median(self.rounds)

    @property
    def least(self) -> float:
        """The least of them."""
        return min(self.rounds)

    @property
    def most(self) -> float:
        """The most of them."""
        return max(self.rounds)

    def over(self, other: Self) -> Self:
        """Return how many times ``other`` it is, round by round, for a busy minute hits both.

        Where they have not as many rounds, the medians are compared.
        """
        if len(self.rounds) == len(other.rounds) and all(other.rounds):
            return type(self)(tuple(one / two for one, two in zip(self.rounds, other.rounds, strict=True)))
        return type(self)((self.median / other.median if other.median else math.inf,))

    def record(self) -> dict[str, Any]:
        """Return it for machines."""
        return {"median": round(self.median, 3), "rounds": [round(each, 3) for each in self.rounds]}
