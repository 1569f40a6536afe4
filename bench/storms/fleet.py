"""Several edges of one installation, what their metrics say, and a load balancer that asks whether they are ready."""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Final, Self

from bench.installation import Installation, get
from bench.pacing import beats
from bench.program import Broken
from bench.publications import TIME
from bench.storms.herd import Herd
from whimbrel.edge.settings import Settings
from whimbrel.protocol import subjects
from whimbrel.protocol.channels import Channel
from whimbrel.protocol.publications import MSG_ID, encode_body
from whimbrel.runtime import jetstream
from whimbrel.runtime.nats import Delivery

LIMITS: Final = ("connects_per_s", "brownout_lag_s")  # a storm meets the edge as it is, not as it is measured
LOOK_S: Final = 0.1  # between two looks of the load balancer; real ones look every few seconds, and miss more
PAUSE_S: Final = 0.02
_NEW: Final = count()  # numbers the channels of this process


class Fleet(Installation):
    """An installation with several edges: `edge`, `edge-2`, …"""

    @classmethod
    async def of(cls, folder: Path, edges: int, **settings: str) -> Self:
        """Start it; ``settings`` of the edges as in the environment, without the prefix. Raises Broken."""
        limits = {name: str(Settings.model_fields[name].default) for name in LIMITS} | settings
        environment = {f"WHIMBREL_EDGE_{name.upper()}": value for name, value in limits.items()}
        return await cls.start(folder, "--edges", str(edges), **environment)

    @property
    def names(self) -> list[str]:
        """All edges."""
        return [name for name in self._running["ops"] if name.startswith("edge")]

    def port_of(self, name: str) -> int:
        """Return where clients of an edge connect."""
        return int(self._running["edges"][self.names.index(name)].rpartition(":")[2])

    async def ended(self, pid: int, *, patience_s: float) -> float:
        """Wait until a process is gone, and return how many seconds that took. Raises Broken."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        while _lives(pid):
            if loop.time() > began + patience_s:
                raise Broken(f"process {pid} lives after {patience_s:g} s")
            await asyncio.sleep(PAUSE_S)
        return loop.time() - began

    async def ready_again(self, name: str, before: int) -> None:
        """Wait until the process that was ``before`` has a successor that is ready. Raises Broken."""
        await self._until(lambda: self._running["pids"][name] not in (before, None))
        await self._until(lambda: self._said("part", name) == self._running["pids"][name])

    @asynccontextmanager
    async def balancing(self, *herds: Herd) -> AsyncIterator[None]:
        """Tell the clients which edges are ready, as a load balancer would, until the end of the block."""
        ready: set[str] = set()

        async def look(name: str) -> None:
            if await _is_ready(self._running["ops"][name]) != (name in ready):
                ready.symmetric_difference_update({name})
                for herd in herds:
                    await herd.edges(self.port_of(each) for each in ready)

        async def look_on(name: str) -> None:
            while True:
                await asyncio.sleep(LOOK_S)
                await look(name)

        await asyncio.gather(*map(look, self.names))
        looking = [asyncio.create_task(look_on(name)) for name in self.names]  # a slow answer holds up no other look
        try:
            yield
        finally:
            for each in looking:
                each.cancel()
            await asyncio.gather(*looking, return_exceptions=True)

    def channels(self, number: int) -> list[Channel]:
        """Return so many channels on which nothing was published yet."""
        return [Channel("orders", f"storm-{os.getpid()}-{next(_NEW)}") for _ in range(number)]

    async def publish_sized(self, rate: float, count: int, channels: Sequence[Channel], size: int) -> None:
        """Publish ``count`` times to each channel, data of ``size`` bytes, ``rate`` publications per second in all."""
        assert self._notifier is not None
        bus, stored = self._notifier, list[asyncio.Future[Delivery]]()

        def beat(number: int, due_ns: int) -> None:
            channel = channels[number % len(channels)]
            data = self._numbers.datum(channel, 0, due_ns)
            longer = data[:-2].ljust(size - 2) + data[-2:]  # within the text that ends it
            name = f"{due_ns:018}{number:06}"
            body = encode_body("storm.tick", name, TIME, longer)
            stored.append(bus.ask(subjects.publish_subject(channel), body, headers={MSG_ID: name}))

        await beats(rate, count * len(channels), beat)
        for reply in await asyncio.gather(*stored):
            jetstream.ack_of(reply)


def _lives(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


async def _is_ready(base: str) -> bool:
    try:
        status, _ = await get(f"{base}/ready")
    except (OSError, TimeoutError, ValueError):
        return False
    return status == 200
