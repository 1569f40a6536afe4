"""A real installation, with proxies before it, and what is done to it."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random
from typing import Final
from urllib.parse import urlsplit

from tests.faults import team
from tests.faults.clients import Client
from tests.faults.proxy import Proxy
from tests.faults.records import History, Published
from tests.faults.schedule import Fault, Step
from tests.support.dev import Development

CHANNELS: Final = 4
CLIENTS: Final = 6
LOOK_S: Final = 0.1
SETTLED_S: Final = 60.0  # for everything to be well again, and for everybody to have everything
SIGNALS: Final = {Fault.KILL: signal.SIGKILL, Fault.STOP: signal.SIGSTOP, Fault.TERM: signal.SIGTERM}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run was, and whether everybody had everything in time."""

    history: History
    publications: int
    receipts: int
    settled: bool


class World:
    """One installation for many runs."""

    def __init__(self, development: Development, edges: Sequence[Proxy], bus: Proxy) -> None:
        self._development = development
        self._edges = edges
        self._bus = bus

    @property
    def parts(self) -> list[str]:
        """What faults can hit."""
        pids = list(self._development.running["pids"])
        leader = ["leader"] if len(self._development.running["nats_servers"]) > 1 else []
        return [*pids, *leader, "team", *(f"clients-{number}" for number in range(len(self._edges)))]

    async def run(self, name: str, steps: Sequence[Step], random: Random, *, pause_s: float) -> Outcome:
        """Have clients follow and teams publish while ``steps`` happen, then until everybody has everything."""
        history = History()
        entities = [f"{name}-{number}" for number in range(CHANNELS)]
        url = urlsplit(self._development.nats)
        bus = await team.connect(f"nats://{url.username}:{url.password}@127.0.0.1:{self._bus.port}")
        history.published = {f"orders:{entity}": Published() for entity in entities}
        publishers = {
            channel: team.Publisher(bus, channel.removeprefix("orders:"), published, random)
            for channel, published in history.published.items()
        }
        clients = [self._client(number, publishers, history, random) for number in range(CLIENTS)]
        following = [asyncio.create_task(client.run()) for client in clients]
        try:
            async with asyncio.timeout(SETTLED_S):  # what comes from then on is everybody's to receive
                await asyncio.gather(*(client.placed.wait() for client in clients))
            publishing = [asyncio.create_task(each.run(pause_s=pause_s)) for each in publishers.values()]
            for step in steps:
                await asyncio.sleep(step.after_s)
                following.append(asyncio.create_task(self._hit(step, entities[0])))
            await asyncio.sleep(max((step.for_s for step in steps), default=1.0))
            for task in publishing:
                task.cancel()
            await asyncio.gather(*publishing, return_exceptions=True)
            settled = await self._settled(history)
        finally:
            for task in following:
                task.cancel()
            await asyncio.gather(*following, return_exceptions=True)
            await bus.close()
        acked = sum(len(published.acked) for published in history.published.values())
        return Outcome(history, acked, sum(map(len, history.seen.values())), settled)

    def _client(self, number: int, publishers: dict[str, team.Publisher], history: History, random: Random) -> Client:
        user = f"user-{number}"
        return Client(
            user,
            random.sample(sorted(publishers), k=2),
            history,
            edges=[f"http://127.0.0.1:{proxy.port}" for proxy in self._edges],
            token=self._development.token(user),
            known=lambda channel: publishers[channel].last_acked,
            random=Random(random.random()),
        )

    async def _settled(self, history: History) -> bool:
        deadline = time.monotonic() + SETTLED_S
        while not all(self._complete(history, channel, seen) for (_, channel), seen in history.seen.items()):
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(LOOK_S)
        return True

    @staticmethod
    def _complete(history: History, channel: str, seen: Sequence[object]) -> bool:
        last = max(history.published[channel].acked, default=-1)
        return any(getattr(each, "number", -1) == last for each in reversed(seen[-50:]))

    # Faults

    async def _hit(self, step: Step, entity: str) -> None:
        if step.target == "team":
            await self._disturb(self._bus, step)
        elif step.target.startswith("clients"):
            await self._disturb(self._edges[int(step.target.partition("-")[2])], step)
        else:
            part = step.target
            if part == "leader":
                part = await asyncio.to_thread(self._leader, entity)
            await self._signal(part, step)

    @staticmethod
    async def _disturb(proxy: Proxy, step: Step) -> None:
        proxy.hit(step.fault)
        try:
            await asyncio.sleep(step.for_s)
        finally:
            proxy.hit(None)

    def _leader(self, entity: str) -> str:
        arguments = ("kill", "leader", "--channel", f"orders:{entity}", "--signal", "cont")
        said = self._development.whimbrel(*arguments, check=False)
        return said.stdout.partition(" sent to ")[2].partition(" ")[0]

    async def _signal(self, part: str, step: Step) -> None:
        pid = self._development.running["pids"].get(part)
        if pid is None:
            return
        with contextlib.suppress(ProcessLookupError):
            if step.fault is Fault.LAME_DUCK:
                os.kill(pid, signal.SIGUSR2)
                await asyncio.sleep(step.for_s)
                os.kill(pid, signal.SIGKILL)
                return
            os.kill(pid, SIGNALS[step.fault])
            if step.fault is Fault.STOP:
                try:
                    await asyncio.sleep(step.for_s)
                finally:
                    os.kill(pid, signal.SIGCONT)


@asynccontextmanager
async def world(development: Development) -> AsyncIterator[World]:
    """Put proxies before a running installation."""
    edges = [await _proxy(url).start() for url in development.running["edges"]]
    bus = await _proxy(development.nats).start()
    try:
        yield World(development, edges, bus)
    finally:
        for proxy in (*edges, bus):
            await proxy.stop()


def _proxy(url: str) -> Proxy:
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    return Proxy(parts.hostname, parts.port)
