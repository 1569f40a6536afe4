"""The test stand: the machine, the servers, and the loads that a part puts on them."""

import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from bench.baseline import Baseline
from bench.installation import Installation
from bench.load import Load
from bench.machine import Machine
from bench.peers import PEERS
from bench.peers.packages import Absent
from bench.trial import Server


@dataclass
class Stand:
    """What a part measures on. Everything that it starts ends with it."""

    machine: Machine
    folder: Path
    rounds: int
    floor: Baseline
    naive: Baseline
    peers: dict[str, Server]
    whimbrel: Installation
    began: float
    _open: AsyncExitStack = field(default_factory=AsyncExitStack)

    @classmethod
    async def start(cls, machine: Machine, folder: Path, rounds: int, peers: Sequence[str] = ()) -> Self:
        """Start the servers; of ``peers`` those that can be had here. Raises Broken."""
        async with AsyncExitStack() as starting:
            whimbrel = await Installation.start(folder)
            starting.push_async_callback(whimbrel.stop)
            floor = await Baseline.floor(whimbrel.token)
            starting.push_async_callback(floor.stop)
            naive = await Baseline.naive(whimbrel.token, whimbrel.secret.decode())
            starting.push_async_callback(naive.stop)
            stand = cls(machine, folder, rounds, floor, naive, {}, whimbrel, time.monotonic())
            starting.push_async_callback(stand._open.aclose)
            for name in peers:
                try:
                    stand.peers[name] = await stand.fresh(name)
                except Absent as absent:
                    print(f"bench: {name} is left out: {absent}", file=sys.stderr)
            stand._open = starting.pop_all()
            return stand

    @property
    def servers(self) -> list[Server]:
        """All of them, the kernel's floor first, Whimbrel last."""
        return [self.floor, self.naive, *self.peers.values(), self.whimbrel]

    def __getitem__(self, name: str) -> Server:
        return next(server for server in self.servers if server.name == name)

    async def fresh(self, name: str, *options: str) -> Server:
        """Return a server that has served nobody: memory that was used and freed hides what is used anew."""
        mint, secret = self.whimbrel.token, self.whimbrel.secret.decode()
        server = await (Baseline.naive(mint, secret) if name == "naive" else PEERS[name](mint, secret, *options))
        self._open.push_async_callback(server.stop)
        return server

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
