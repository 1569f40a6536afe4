"""What Whimbrel is measured against in the same run: the kernel's floor, and the naive loop."""

from collections.abc import Callable, Sequence
from typing import Self

from bench.load import Transport
from bench.meter import Meter
from bench.program import Program, compiled, python_module
from bench.trial import connect_frame
from whimbrel.protocol.channels import Channel


class Baseline:
    """A server that obeys the commands of floor.c. It publishes itself: its figures are without a way in."""

    version = ""
    transport: Transport = "ws"
    gives_inbox = True

    def __init__(self, name: str, program: Program, port: int, mint: Callable[[str], str]) -> None:
        self.name = name
        self._mint = mint
        self.port = port
        self.meter = Meter({"server": program.pid})
        self._program = program

    @classmethod
    async def floor(cls, mint: Callable[[str], str]) -> Self:
        """Start floor.c."""
        return await cls._start("floor", mint, str(compiled("floor")))

    @classmethod
    async def naive(cls, mint: Callable[[str], str], secret: str) -> Self:
        """Start naive.py, which verifies what ``mint`` gives a user by ``secret``."""
        return await cls._start("naive", mint, *python_module("bench.naive", secret))

    @classmethod
    async def _start(cls, name: str, mint: Callable[[str], str], *command: str) -> Self:
        program = await Program.start(*command)
        return cls(name, program, (await program.answer())["port"], mint)

    def line(self, user: str, channels: Sequence[Channel]) -> str:
        """Return a client's first frame."""
        return connect_frame(self._mint(user), {str(channel): None for channel in channels})

    async def publish(self, rate: float, count: int, channels: Sequence[Channel], *, series: int) -> None:
        """Publish to every client (one channel, series 0), or to one after the other (each has its own, series 1)."""
        assert series == (0 if len(channels) == 1 else 1)
        await (self.broadcast if len(channels) == 1 else self.unicast)(rate, count)

    async def broadcast(self, rate: float, count: int) -> None:
        """Send ``count`` publications, ``rate`` per second, to every client."""
        await self._program.ask(f"broadcast {rate} {count}")

    async def unicast(self, rate: float, count: int) -> None:
        """Send ``count`` publications, ``rate`` per second, each to one client in turn."""
        await self._program.ask(f"unicast {rate} {count}")

    async def multicast(self, rate: float, count: int, width: int) -> None:
        """Send ``count`` publications, ``rate`` per second, each to the next ``width`` clients in turn (floor only)."""
        await self._program.ask(f"unicast {rate} {count} {width}")

    async def pings(self, rate: float, seconds: int) -> None:
        """Begin to ping the next ``rate`` clients in turn, once per second for ``seconds``: the floor's alone."""
        await self._program.ask(f"pings {rate} {seconds}")

    async def missed(self, number: int) -> None:
        """Have clients that connect from now on find ``number`` publications."""
        await self._program.ask(f"missed {number}")

    async def stop(self) -> None:
        """End it."""
        await self._program.stop()
