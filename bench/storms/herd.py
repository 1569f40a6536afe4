"""The clients of a storm: drives herd.c, which is thousands of clients that come back by themselves."""

import asyncio
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

from bench.load import Counts
from bench.program import Broken, Program, compiled, write_lines

WINDOW: Final = 512  # connections under way at a time
OPEN_S: Final = 60.0
SLICE_MS: Final = 50  # of a wait: in between the herd hears which edges there are
STUCK: Final = 3  # the group whose sockets have the least receive buffer: what it does not read stays with the edge


class Member(NamedTuple):
    """One client: the edge where it begins (0: any), its only channel besides the inbox, its token."""

    group: int
    port: int
    channel: str
    token: str


class Return(NamedTuple):
    """One connection that was opened: when (ns, monotonic), and how long (ns) there was none before."""

    at_ns: int
    away_ns: int


@dataclass(frozen=True, slots=True)
class Tally:
    """What one group saw since the last ``reset``. ``dropped`` were duplicates on the wire, ``gaps`` made a client
    connect anew, ``unproved`` had to reload: none of them reached the application as a publication twice.
    """

    clients: int
    dropped: int
    gaps: int
    unproved: int
    moves: int
    turned_away: int
    counts: Counts

    @property
    def faults(self) -> str:
        """What must not be, or nothing."""
        counts = self.counts
        wrong = {"missing": counts.missing, "repeated": counts.repeated, "reloaded": self.unproved}
        return ", ".join(f"{number} {what}" for what, number in wrong.items() if number)


class Herd:
    """One process with its clients. The publisher numbers each channel from 0."""

    def __init__(self, program: Program, folder: Path) -> None:
        self._program = program
        self._folder = folder
        self._asking = asyncio.Lock()  # whoever watches the edges tells of them in between

    @classmethod
    async def start(cls, folder: Path) -> Self:
        """Start the process; it exchanges files in ``folder``."""
        return cls(await Program.start(str(compiled("storms/herd"))), folder)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._program.pid

    async def edges(self, ports: Iterable[int]) -> None:
        """Tell where new connections may go; where there is nowhere, they go where they went."""
        if wanted := ",".join(map(str, ports)):
            await self._ask(f"edges {wanted}")

    async def gather(self, members: Sequence[Member]) -> None:
        """Connect ``members`` once and for all. Raises Broken where one stays outside."""
        path = self._folder / f"members-{self.pid}"
        write_lines(path, ["\t".join(map(str, each)) for each in members])
        await self._ask(f"gather {path} {WINDOW}")
        for group in sorted({each.group for each in members}):
            await self.opened(group, sum(each.group == group for each in members))

    async def opened(self, group: int, number: int, *, patience_s: float = OPEN_S) -> Tally:
        """Wait until ``number`` of a group are connected. Raises Broken."""
        return await self._await("opened", group, number, patience_s)

    async def applied(self, group: int, published: int, *, patience_s: float) -> Tally:
        """Wait until each of a group has applied all ``published`` of its channel. Raises Broken."""
        return await self._await("applied", group, published, patience_s)

    async def tally(self, group: int) -> Tally:
        """Return what a group saw so far."""
        return _tally(await self._ask(f"await opened {group} 0 0"))

    async def _await(self, what: str, group: int, number: int, patience_s: float) -> Tally:
        until = time.monotonic() + patience_s
        while not (tally := _tally(await self._ask(f"await {what} {group} {number} {SLICE_MS}"))).counts.complete:
            if time.monotonic() > until:
                raise Broken(f"group {group}: not {what} {number} within {patience_s:g} s: {tally}")
        return tally

    async def reset(self) -> None:
        """Count anew."""
        await self._ask("reset")

    async def stuck(self, group: int) -> None:
        """Have a group read nothing any more."""
        await self._ask(f"stuck {group}")

    async def wake(self, group: int) -> None:
        """Have a group read again."""
        await self._ask(f"wake {group}")

    async def returns(self) -> list[Return]:
        """Return the connections opened since the last ``reset``, in order."""
        path = self._folder / f"returns-{self.pid}"
        await self._ask(f"returns {path}")
        return [Return(*map(int, line.split())) for line in path.read_text().splitlines()]

    async def stop(self) -> None:
        """End the process and with it all clients."""
        await self._program.stop()

    async def _ask(self, command: str) -> dict[str, Any]:
        async with self._asking:
            return await self._program.ask(command)


def _tally(answer: dict[str, Any]) -> Tally:
    return Tally(**{**answer, "counts": Counts(**answer["counts"])})
