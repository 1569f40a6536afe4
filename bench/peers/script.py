"""Socket.IO and Bun: servers of a few lines that publish what we write to their standard input."""

from collections.abc import Callable, Sequence
from typing import Self

from bench.load import Transport
from bench.meter import Meter
from bench.pacing import beats
from bench.peers.packages import pinned, scripts
from bench.program import Program
from bench.publications import Numbers
from bench.trial import connect_frame
from whimbrel.protocol.channels import Channel


class Script:
    """One JavaScript server."""

    gives_inbox = True

    def __init__(
        self, name: str, transport: Transport, mint: Callable[[str], str], program: Program, port: int
    ) -> None:
        self.name = name
        self.version = pinned({"socketio": "socket.io"}.get(name, name))
        self.transport = transport
        self.port = port
        self.meter = Meter({"server": program.pid})
        self._mint = mint
        self._program = program
        self._numbers = Numbers()

    @classmethod
    async def socketio(cls, mint: Callable[[str], str], secret: str, *options: str) -> Self:
        """Start Socket.IO under Node.js. Raises Absent."""
        folder = await scripts()
        return await cls._start("socketio", "socketio", mint, "node", str(folder / "socketio.mjs"), secret, *options)

    @classmethod
    async def bun(cls, mint: Callable[[str], str], secret: str) -> Self:
        """Start Bun. Raises Absent."""
        folder = await scripts()
        program = str(folder / "node_modules/.bin/bun")
        return await cls._start("bun", "ws", mint, program, str(folder / "bun.mjs"), secret)

    @classmethod
    async def _start(cls, name: str, transport: Transport, mint: Callable[[str], str], *command: str) -> Self:
        program = await Program.start(*command)
        return cls(name, transport, mint, program, (await program.answer())["port"])

    def line(self, user: str, channels: Sequence[Channel]) -> str:
        """Return what a client sends first; Socket.IO takes the members that it knows."""
        return connect_frame(self._mint(user), {str(channel): None for channel in channels})

    async def publish(self, rate: float, count: int, channels: Sequence[Channel], *, series: int) -> None:
        """Hand over ``count`` publications, ``rate`` per second, to one channel after the other."""

        def beat(number: int, due_ns: int) -> None:
            channel = channels[number % len(channels)]
            self._program.tell(b"%b\t%b\n" % (str(channel).encode(), self._numbers.frame(channel, series, due_ns)))

        await beats(rate, count, beat)

    async def latest(self) -> str:
        """Return by what Socket.IO's clients say that they have all publications so far."""
        offset: str = (await self._program.ask("\t"))["offset"]
        return offset

    async def stop(self) -> None:
        """End it."""
        await self._program.stop()
