"""What the figures were measured on, and who else worked there: a figure without it says nothing."""

import os
import platform
import resource
import sys
import sysconfig
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Self

AHEAD: Final = 10  # a real-time priority: any of 1 to 99 comes before all ordinary processes
SPARE_FILES: Final = 200  # of a process, for what is not a client's socket


@dataclass(frozen=True, slots=True)
class Machine:
    """``python`` is its version, and how it was compiled; ``load`` is the load average of the last minute before the
    first part; ``files`` what a process may open.
    """

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
            python=f"{platform.python_version()} ({_build()})",
            load=round(os.getloadavg()[0], 2),
            files=raise_file_limit(),
        )

    def clients(self, wanted: int) -> int:
        """Return how many clients one process can serve, at most ``wanted``."""
        return max(1, min(wanted, self.files - SPARE_FILES))

    def record(self) -> dict[str, Any]:
        """Return the facts for machines."""
        return asdict(self)

    def __str__(self) -> str:
        return (
            f"{self.cores} cores ({self.processor}), {self.memory_gib:g} GiB, Linux {self.kernel}, "
            f"Python {self.python}, load average {self.load:g} before"
        )


class Company:
    """How much of the machine others took from now on: other processes, and other machines on the same hardware."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._busy, self._ours = _busy_s(), _ours_s()

    def cores(self) -> float:
        """Return how many cores they kept busy on average. Call it when all our children have been waited for."""
        others = (_busy_s() - self._busy) - (_ours_s() - self._ours)
        return max(0.0, others / (time.monotonic() - self._began))


def _busy_s() -> float:
    user, nice, system, _, _, irq, softirq, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def _ours_s() -> float:
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def go_ahead() -> None:
    """Have the kernel run this process, and the children that it starts from now on, before all that others do on this
    machine, in turn among themselves. Raises PermissionError.
    """
    os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(AHEAD))


def raise_file_limit() -> int:
    """Let this process and its children open as many files as they may; return how many that is."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard if hard != resource.RLIM_INFINITY else 2**20


def _build() -> str:
    """Return how the interpreter was compiled: by that alone the same code costs a fifth more or less."""
    kind = "shared library" if "libpython" in Path("/proc/self/maps").read_text() else "one program"
    if sys.base_prefix == "/usr":
        return f"{kind}, the system's own build"  # distributions do not pass on how they compiled it
    told = sysconfig.get_config_var("CONFIG_ARGS") or ""
    has = [name for name, flag in (("PGO", "--enable-optimizations"), ("LTO", "--with-lto")) if flag in told]
    return f"{kind}, {'with ' + ' and '.join(has) if has else 'without PGO and LTO'}"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return " ".join(value.split())
    return platform.machine()
