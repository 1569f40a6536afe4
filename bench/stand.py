"""The test stand: the machine, the three servers, and the loads that a part puts on them."""

import sys
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from bench.baseline import Baseline
from bench.installation import Installation
from bench.load import Load
from bench.machine import Machine


@dataclass
class Stand:
    """What a part measures on. Everything that it starts ends with it."""

    machine: Machine
    folder: Path
    rounds: int
    floor: Baseline
    naive: Baseline
    whimbrel: Installation
    began: float
    _open: AsyncExitStack = field(default_factory=AsyncExitStack)

    @classmethod
    async def start(cls, machine: Machine, folder: Path, rounds: int) -> Self:
        """Start the servers. Raises Broken."""
        async with AsyncExitStack() as starting:
            whimbrel = await Installation.start(folder)
            starting.push_async_callback(whimbrel.stop)
            floor = await Baseline.floor()
            starting.push_async_callback(floor.stop)
            naive = await Baseline.naive(whimbrel.secret.decode())
            starting.push_async_callback(naive.stop)
            return cls(machine, folder, rounds, floor, naive, whimbrel, time.monotonic(), starting.pop_all())

    async def fresh_naive(self) -> Baseline:
        """Return a naive server that has served nobody: memory that was used and freed hides what is used anew."""
        naive = await Baseline.naive(self.whimbrel.secret.decode())
        self._open.push_async_callback(naive.stop)
        return naive

    async def load(self) -> Load:
        """Return a load process of its own."""
        load = await Load.start(self.folder)
        self._open.push_async_callback(load.stop)
        return load

    def say(self, what: str) -> None:
        """Tell who waits what goes on."""
        print(f"{time.monotonic() - self.began:5.0f} s  {what}", file=sys.stderr, flush=True)

    async def stop(self) -> None:
        """End everything."""
        await self._open.aclose()
