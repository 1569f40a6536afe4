"""Starts the parts, says how they do, and starts again what dies."""

import asyncio
import signal
import time
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Final

from whimbrel.cli.dev.balancer import Balancer
from whimbrel.cli.dev.child import Child
from whimbrel.cli.dev.parts import Part, Setup
from whimbrel.cli.dev.ports import numbered
from whimbrel.cli.exits import Failure
from whimbrel.cli.output import Output

START_S: Final = 60.0  # a cold start on a slow disk takes a tenth of it
FIRST_RESTART_S: Final = 0.2
LAST_RESTART_S: Final = 5.0
FORGIVEN_S: Final = 10.0  # who lived that long starts again at once
BEHIND: Final = ("auth", "router", "notifier")  # the edges


@dataclass
class Supervisor:
    """``parts`` in the order in which they start; they end the other way round."""

    setup: Setup
    parts: Sequence[Part]
    output: Output
    restart: bool
    _children: dict[str, Child] = field(default_factory=dict)
    _stop: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, headline: str, hint: str) -> None:
        """Run everything until a signal says stop.

        Raises Failure where a part does not start, or dies for good.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._stopped)
        try:
            await self._start()
            if self._stop.is_set():
                return
            async with AsyncExitStack() as front:
                if self.setup.edges > 1:
                    edges = numbered("edge", self.setup.edges)
                    ready = {self.setup.ports[name]: f"{self.setup.url(f'{name}-ops')}/ready" for name in edges}
                    await front.enter_async_context(Balancer(ready).serving(self.setup.ports["balancer"]))
                self._announce()
                self.output.say(f"\n  {self.output.loud(headline)}\n  {hint}\n", {"event": "ready", **self._running()})
                await self._watch()
        finally:
            self.setup.store.withdraw()
            await self._end()

    async def _start(self) -> None:
        for part in self.parts:
            log = self.setup.store.logs / f"{part.name}.log"
            log.write_bytes(b"")
            child = self._children[part.name] = Child(part, log, self._warn)
            await child.start()
        starting = [
            asyncio.create_task(self._until_ready(each), name=each.part.name) for each in self._children.values()
        ]
        stop = asyncio.create_task(self._stop.wait())
        waiting: set[asyncio.Task[Any]] = {*starting, stop}
        try:
            async with asyncio.timeout(START_S):
                while waiting - {stop} and not self._stop.is_set():
                    done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                    for task in done:
                        task.result()
        except TimeoutError:
            late = [
                child.part.name
                for child, task in zip(self._children.values(), starting, strict=True)
                if task in waiting
            ]
            raise Failure(f"not ready within {START_S:g} s: {', '.join(late)}; see {self.setup.store.logs}") from None
        finally:
            for task in waiting:
                task.cancel()

    async def _until_ready(self, child: Child) -> None:
        """Wait for a part and say so. Raises Failure where it ends instead."""
        ready = asyncio.create_task(child.ready())
        ended = asyncio.create_task(child.ended())
        try:
            await asyncio.wait({ready, ended}, return_when=asyncio.FIRST_COMPLETED)
            if ready.done():
                self._say_ready(child, ready.result())
                return
            if not self._stop.is_set():
                raise Failure(f"{child.part.name} {_how(ended.result())} as it started\n{_lines(child.tail)}")
        finally:
            ready.cancel()
            ended.cancel()

    async def _watch(self) -> None:
        watching = [asyncio.create_task(self._keep(child)) for child in self._children.values()]
        stop = asyncio.create_task(self._stop.wait())
        try:
            done, _ = await asyncio.wait([*watching, stop], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in (*watching, stop):
                task.cancel()

    async def _keep(self, child: Child) -> None:
        """Start a part again whenever it dies."""
        name, delay = child.part.name, FIRST_RESTART_S
        while True:
            code = await child.ended()
            if self._stop.is_set():
                return
            died = f"{name} {_how(code)}"
            if not self.restart:
                raise Failure(f"{died}; see {child.log}\n{_lines(child.complaints)}".rstrip())
            delay = FIRST_RESTART_S if time.monotonic() - child.started > FORGIVEN_S else delay
            record = {"event": "died", "part": name, "code": code, "restart_s": delay}
            told = f"  {died}; starting it again in {delay:g} s; see {child.log}\n{_lines(child.complaints)}"
            self.output.say(self.output.bad(told.rstrip()), record)
            await asyncio.sleep(delay)
            delay = min(2 * delay, LAST_RESTART_S)
            await child.start()
            self._announce()
            await self._ready_again(child)

    async def _ready_again(self, child: Child) -> None:
        ready = asyncio.create_task(child.ready())
        ended = asyncio.create_task(child.ended())
        try:
            await asyncio.wait({ready, ended}, return_when=asyncio.FIRST_COMPLETED)
            if ready.done():
                self._say_ready(child, ready.result())
        finally:
            ready.cancel()
            ended.cancel()

    async def _end(self) -> None:
        """End the bus last: the others say goodbye over it."""
        buses = self.setup.nats_names
        for last in (False, True):
            await asyncio.gather(*(child.stop() for name, child in self._children.items() if (name in buses) is last))

    def _stopped(self) -> None:
        if self._stop.is_set():  # asked twice: at once
            for child in self._children.values():
                child.signal(signal.SIGKILL)
        self._stop.set()

    def _announce(self) -> None:
        self.setup.store.announce(self._running())

    def _running(self) -> dict[str, Any]:
        edges = numbered("edge", self.setup.edges)
        services = (*edges, *BEHIND)
        return {
            "edge": self.setup.edge_url,
            **{name: self.setup.url(name) for name in ("auth", "router", "demo") if name in self.setup.ports},
            "nats": self.setup.nats_urls("domain")[0],
            "nats_servers": self.setup.nats_urls("domain"),
            "service_key": self.setup.service_key,
            "edges": [self.setup.url(name) for name in edges],
            "ops": {name: self.setup.url(f"{name}-ops") for name in services},
            "pids": {name: self._children[name].pid for name in (*services, *self.setup.nats_names)},
        }

    def _say_ready(self, child: Child, seconds: float) -> None:
        record = {"event": "part", "part": child.part.name, "pid": child.pid, "seconds": round(seconds, 2)}
        self.output.say(f"  {child.part.name:<9} {self.output.good('ready')} {seconds:5.1f} s", record)

    def _warn(self, line: str) -> None:
        if self._stop.is_set():  # servers of a cluster warn of each other's going
            return
        self.output.say(self.output.dim(f"  {line}"), {"event": "warning", "line": line})


def _how(code: int) -> str:
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def _lines(texts: Iterable[str]) -> str:
    return "\n".join(f"    {text}" for text in texts)
