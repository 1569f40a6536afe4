"""The load side: drives load.c, which is thousands of clients in one cheap process."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, Self

from bench.program import Broken, Program, compiled, write_lines

WINDOW: Final = 256  # connections under way at a time: a storm, but not deeper than the listener's queue
OPEN_S: Final = 60.0
Transport = Literal["ws", "sse", "poll", "socketio", "nchan", "nchan-poll"]


@dataclass(frozen=True, slots=True)
class Counts:
    """What the clients saw since the last ``reset``; times in µs, ``last_ns`` of the monotonic clock."""

    complete: bool
    opened: int
    refused: int
    lost: int
    messages: int
    bytes: int
    publications: int
    missing: int
    repeated: int
    last_ns: int
    p50_us: float
    p99_us: float
    longest_us: float
    trouble: str


class Load:
    """One load process with its clients."""

    def __init__(self, program: Program, folder: Path) -> None:
        self._program = program
        self._folder = folder

    @classmethod
    async def start(cls, folder: Path) -> Self:
        """Start a load process that exchanges files in ``folder``."""
        return cls(await Program.start(str(compiled("load"))), folder)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._program.pid

    async def open(
        self, port: int, lines: Sequence[str], *, count: int | None = None, transport: Transport = "ws"
    ) -> Counts:
        """Cut what is open and open a client per line, or ``count`` that share the lines; return when all are in.

        Raises Broken where one is refused.
        """
        path = self._file("lines")
        write_lines(path, lines)
        wanted = count or len(lines)
        await self.reset()
        await self._program.ask(f"open 127.0.0.1 {port} {wanted} {WINDOW} {transport} {path}")
        counts = await self._await("opened", wanted, OPEN_S)
        if counts.opened < wanted:
            raise Broken(f"{counts.opened} of {wanted} clients came in; first trouble: {counts.trouble or 'too slow'}")
        return counts

    async def publications(self, number: int, *, patience_s: float) -> Counts:
        """Return the counts once ``number`` publications have come, or after ``patience_s``."""
        return await self._await("publications", number, patience_s)

    async def _await(self, what: str, number: int, patience_s: float) -> Counts:
        return Counts(**await self._program.ask(f"await {what} {number} {int(patience_s * 1000)}"))

    async def reset(self) -> None:
        """Count anew."""
        await self._program.ask("reset")

    async def cut(self) -> None:
        """Reset all connections, as a network does that goes away."""
        await self._program.ask("cut")

    async def greetings(self) -> list[dict[str, Any]]:
        """Return what each client was first told."""
        path = self._file("greetings")
        await self._program.ask(f"greetings {path}")
        return [json.loads(line) for line in path.read_text().splitlines()]

    async def stop(self) -> None:
        """End the process and with it all clients."""
        await self._program.stop()

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}-{self.pid}"
