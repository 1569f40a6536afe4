"""The sentinel: what this machine does, while something is measured, to a process that does nothing."""

from dataclasses import dataclass
from typing import Self

from bench.program import Program, compiled


@dataclass(frozen=True, slots=True)
class Lateness:
    """How late a process came that wanted to wake each millisecond, in µs, of so many ``times``."""

    times: int
    p99_us: float
    longest_us: float


class Sentinel:
    """One sentinel process. It takes 0.5 % of a core."""

    def __init__(self, program: Program) -> None:
        self._program = program

    @classmethod
    async def start(cls) -> Self:
        """Start it. Raises Broken."""
        return cls(await Program.start(str(compiled("sentinel"))))

    @property
    def pid(self) -> int:
        """The process id."""
        return self._program.pid

    async def reset(self) -> None:
        """Count anew."""
        await self._program.ask("reset")

    async def lateness(self) -> Lateness:
        """Return how late it came since the last ``reset``."""
        return Lateness(**await self._program.ask("read"))

    async def stop(self) -> None:
        """End it."""
        await self._program.stop()
