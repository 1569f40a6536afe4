"""What Whimbrel is measured against in the same run: the kernel's floor, and the naive loop."""

from typing import Self

from bench.meter import Meter
from bench.program import Program, compiled, python_module


class Baseline:
    """A server that obeys the commands of floor.c."""

    def __init__(self, name: str, program: Program, port: int) -> None:
        self.name = name
        self.port = port
        self.meter = Meter({"server": program.pid})
        self._program = program

    @classmethod
    async def floor(cls) -> Self:
        """Start floor.c."""
        return await cls._start("floor", str(compiled("floor")))

    @classmethod
    async def naive(cls, secret: str) -> Self:
        """Start naive.py, which verifies tokens by ``secret``."""
        return await cls._start("naive", *python_module("bench.naive", secret))

    @classmethod
    async def _start(cls, name: str, *command: str) -> Self:
        program = await Program.start(*command)
        return cls(name, program, (await program.answer())["port"])

    async def broadcast(self, rate: float, count: int) -> None:
        """Send ``count`` publications, ``rate`` per second, to every client."""
        await self._program.ask(f"broadcast {rate} {count}")

    async def unicast(self, rate: float, count: int) -> None:
        """Send ``count`` publications, ``rate`` per second, each to one client in turn."""
        await self._program.ask(f"unicast {rate} {count}")

    async def missed(self, number: int) -> None:
        """Have clients that connect from now on find ``number`` publications."""
        await self._program.ask(f"missed {number}")

    async def stop(self) -> None:
        """End it."""
        await self._program.stop()
