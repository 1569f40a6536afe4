"""One measurement: what a server, and those beside it, used while its clients saw something."""

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from bench.load import Counts, Load, Transport
from bench.meter import Meter, Spread
from bench.program import Broken
from whimbrel.protocol.channels import Channel, inbox_of

PATIENCE_S = 20.0  # for what is still under way when all was sent


class Server(Protocol):
    """A server under measurement."""

    @property
    def name(self) -> str:
        """Its column in the report."""

    @property
    def version(self) -> str:
        """Which release it is; empty where it is our own."""

    @property
    def transport(self) -> Transport:
        """How its WebSocket clients speak."""

    @property
    def gives_inbox(self) -> bool:
        """Whether a client has its own channel without asking for it."""

    @property
    def port(self) -> int:
        """Where clients connect."""

    @property
    def meter(self) -> Meter:
        """CPU time of its processes; the one that holds the clients is the `server`."""

    def line(self, user: str, channels: Sequence[Channel]) -> str:
        """Return what load.c must know of a client that subscribes to ``channels``."""

    async def publish(self, rate: float, count: int, channels: Sequence[Channel], *, series: int) -> None:
        """Publish ``count`` publications, ``rate`` per second, to one channel after the other."""

    async def stop(self) -> None:
        """End it."""


@dataclass(frozen=True, slots=True)
class Trial:
    """CPU time (ns) by process while ``counts`` came together; `load` are the clients, `publisher` is ourselves."""

    cpu: Mapping[str, int]
    counts: Counts
    seconds: float

    def us(self, process: str, per: int) -> float:
        """Return the CPU time of ``process``, µs per one of ``per``."""
        return self.cpu[process] / per / 1000


async def tried(
    target: Server, load: Load, work: Awaitable[object], *, publications: int = 0, linger_s: float = 0.0
) -> Trial:
    """Measure ``work`` until its ``publications`` have arrived, and what is done for it up to ``linger_s`` later.

    Raises Broken where a client was lost, or a publication was lost or repeated: the figures of a server that loses are
    worth nothing.
    """
    await load.reset()
    await target.meter.settled()
    meter = Meter({**target.meter.pids, "load": load.pid, "publisher": os.getpid()})
    before, began = meter.read(), time.monotonic_ns()
    await work
    ended = time.monotonic_ns()
    counts = await load.publications(publications, patience_s=PATIENCE_S)
    await asyncio.sleep(linger_s)
    used = meter.since(before)
    if counts.lost or not counts.complete or counts.missing or counts.repeated:
        raise Broken(
            f"{target.name}: {counts.publications} of {publications} publications came, {counts.missing} missing, "
            f"{counts.repeated} repeated, {counts.lost} clients lost {counts.trouble}"
        )
    return Trial(used, counts, ((counts.last_ns or ended) - began) / 1e9)


def with_inbox(server: Server, user: str, channel: Channel) -> str:
    """Return what load.c must know of a client that subscribes to ``channel`` and has its own."""
    return server.line(user, [channel] if server.gives_inbox else [channel, inbox_of(user)])


def spread(trials: Sequence[Trial], figure: Callable[[Trial], float]) -> Spread:
    """Summarise a figure over the rounds."""
    return Spread.of([figure(trial) for trial in trials])


def connect_frame(token: str | None, channels: Mapping[str, Any], resume: str | None = None) -> str:
    """Return a client's first frame."""
    frame: dict[str, Any] = {"type": "connect", "id": 1, "channels": channels}
    if token is not None:
        frame["token"] = token
    if resume is not None:
        frame["resume"] = resume
    return json.dumps(frame, separators=(",", ":"))


def positions(greeting: Mapping[str, Any]) -> dict[str, Any]:
    """Return where the client stands that was greeted by ``greeting`` and nothing else."""
    return {
        name: {"epoch": opened["epoch"], "offset": opened["offset"]} for name, opened in greeting["channels"].items()
    }
