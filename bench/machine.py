"""What the figures were measured on: a figure without it says nothing."""

import os
import platform
import resource
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Self

BUSY_LOAD: Final = 1.5  # a load average above it, before we start, means that others work on this machine
SPARE_FILES: Final = 200  # of a process, for what is not a client's socket


@dataclass(frozen=True, slots=True)
class Machine:
    """``load`` is the load average of the last minute before the first part; ``files`` what a process may open."""

    cores: int
    processor: str
    memory_gib: float
    kernel: str
    python: str
    load: float
    files: int

    @classmethod
    def here(cls) -> Self:
        """Look around."""
        return cls(
            cores=len(os.sched_getaffinity(0)),
            processor=_processor(),
            memory_gib=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
            kernel=platform.release(),
            python=platform.python_version(),
            load=round(os.getloadavg()[0], 2),
            files=raise_file_limit(),
        )

    @property
    def busy(self) -> bool:
        """Whether others were working here."""
        return self.load > BUSY_LOAD

    def clients(self, wanted: int) -> int:
        """Return how many clients one process can serve, at most ``wanted``."""
        return max(1, min(wanted, self.files - SPARE_FILES))

    def record(self) -> dict[str, Any]:
        """Return the facts for machines."""
        return {**asdict(self), "busy": self.busy, "load_after": round(os.getloadavg()[0], 2)}

    def __str__(self) -> str:
        return (
            f"{self.cores} cores ({self.processor}), {self.memory_gib:g} GiB, Linux {self.kernel}, "
            f"Python {self.python}, load average {self.load:g}{' (BUSY: others work here)' if self.busy else ''}"
        )


def raise_file_limit() -> int:
    """Let this process and its children open as many files as they may; return how many that is."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard if hard != resource.RLIM_INFINITY else 2**20


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return " ".join(value.split())
    return platform.machine()
