"""What is done to an installation, and undone."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

import nats

from tests.faults import isolation
from tests.faults.clients import Client
from tests.faults.inside.sitecustomize import Switches, address
from tests.faults.proxy import Proxy
from tests.faults.records import History
from tests.faults.schedule import Fault, Step
from tests.support.dev import WHIMBREL, Development
from whimbrel.cli.dev.store import Store
from whimbrel.protocol import subjects
from whimbrel.protocol.channels import Channel

SIGNALS: Final = {Fault.KILL: signal.SIGKILL, Fault.STOP: signal.SIGSTOP, Fault.TERM: signal.SIGTERM}
ROUTES_PORT: Final = 2000  # above that for clients: 6222 for 4222 (cli/dev/ports.py)
PARTITIONS: Final = 8  # of a development set-up (deploy/nats/partitions.conf)
PURGE_S: Final = 2.0
COMMAND_S: Final = 120.0


class Harm:
    """Hits what a step names: processes, what lies between them, clocks, disks, streams."""

    def __init__(
        self,
        development: Development,
        switches: Mapping[str, Switches],
        edges: Sequence[Proxy],
        bus: Sequence[Proxy],
        pid: Callable[[str], int],
    ) -> None:
        """``pid`` tells which process a part is now, 0 for none."""
        self._development = development
        self._switches = switches
        self._edges = edges
        self._bus = bus
        self._pid = pid
        self._purged: set[int] = set()  # partitions, in this run
        self._unconfirmed: set[int] = set()  # … of which nobody knows whether, or when

    def begin(self, history: History) -> None:
        """Begin a run. What was purged before it excuses nobody, but a purge that was not confirmed may still come."""
        self._purged = set(self._unconfirmed)
        self._note_trimmed(history)

    def _note_trimmed(self, history: History) -> None:
        channels = (
            (channel, subjects.partition_of(Channel.parse(channel), PARTITIONS)) for channel in history.published
        )
        history.trimmed |= {channel for channel, partition in channels if partition in self._purged}

    async def hit(self, step: Step, history: History, clients: Sequence[Client]) -> None:
        """Do what ``step`` says and undo it in time; leader and history are those of the first channel."""
        channel = min(history.published)
        match step.kind:
            case "team":
                await _disturb(self._bus, step)
            case "clients" if step.fault is Fault.LOSS:
                edge = urlsplit(self._development.running["edges"][int(step.whose)])
                await _impose(isolation.at(edge.port or 0), step)
            case "clients":
                await _disturb([self._edges[int(step.whose)]], step)
            case "client":
                reading = clients[int(step.whose)].reading
                await _while(reading.clear, reading.set, step.for_s)
            case "wire":
                await _impose(isolation.between(address(step.whose)), step)
            case "routes":
                await self._isolate(step)
            case "clock":
                await self._set_clock(step)
            case "history":
                await self._purge(channel, history)
            case "disk":
                await self._fill(step)
            case "leader":
                leader = await asyncio.to_thread(self._leader, channel)
                await self._signal(leader, step)
            case _:
                await self._signal(step.target, step)

    async def _isolate(self, step: Step) -> None:
        ports = {name: port + ROUTES_PORT for name, port in self._nats_ports.items()}
        own = ports.pop(step.whose)
        matching = await asyncio.to_thread(isolation.around, self._pid(step.whose), own, sorted(ports.values()))
        await _impose(matching, step)

    async def _set_clock(self, step: Step) -> None:
        switches = self._switches[step.whose]
        switches.off_s = step.by_s
        try:
            await asyncio.sleep(step.for_s)
        finally:
            switches.off_s = 0.0

    async def _fill(self, step: Step) -> None:
        folder = Store(self._development.store).streams(len(self._nats_ports), step.whose)
        filler = await asyncio.to_thread(isolation.fill, folder)
        try:
            await asyncio.sleep(step.for_s)
        finally:
            filler.unlink(missing_ok=True)  # another step may have filled the same disk
            isolation.end(self._pid(step.whose))  # a server that could not write needs its operator

    @property
    def _nats_ports(self) -> dict[str, int]:
        urls = self._development.running["nats_servers"]
        names = [name for name in self._development.running["pids"] if name.startswith("nats")]
        return {name: urlsplit(url).port or 0 for name, url in zip(names, urls, strict=True)}

    async def _purge(self, channel: str, history: History) -> None:
        partition = subjects.partition_of(Channel.parse(channel), PARTITIONS)
        password = Store(self._development.store).secrets()["nats_router"]
        address = urlsplit(self._development.nats).netloc.rpartition("@")[2]
        self._purged.add(partition)
        self._unconfirmed.add(partition)
        self._note_trimmed(history)
        with contextlib.suppress(nats.errors.Error, OSError, TimeoutError):  # that server is down: nothing is purged
            async with asyncio.timeout(PURGE_S):
                router = await nats.connect(
                    f"nats://router:{password}@{address}", inbox_prefix="_INBOX.router", allow_reconnect=False
                )
                stream = subjects.history_stream(partition)
                reply = await router.request(f"$JS.API.STREAM.PURGE.{stream}", timeout=PURGE_S)
                if json.loads(reply.data).get("success"):
                    self._unconfirmed.discard(partition)
                await router.close()

    def _leader(self, channel: str) -> str:
        arguments = ("kill", "leader", "--channel", channel, "--signal", "cont")
        return said_by(self._development, *arguments).partition(" sent to ")[2].partition(" ")[0]

    async def _signal(self, part: str, step: Step) -> None:
        pid = self._pid(part)
        if not pid:
            return  # there was no leader to be found
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


def said_by(development: Development, *arguments: str) -> str:
    """Return what a command writes, in a process of its own: ours prints at the same time."""
    command = [str(WHIMBREL), *arguments, "--store", str(development.store)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_S, check=False)
    return done.stdout


async def _while(begin: Callable[[], None], end: Callable[[], None], for_s: float) -> None:
    begin()
    try:
        await asyncio.sleep(for_s)
    finally:
        end()


async def _impose(matching: Sequence[isolation.Rule], step: Step) -> None:
    rules = isolation.Rules(step.fault, matching)
    await _while(rules.impose, rules.lift, step.for_s)


async def _disturb(proxies: Sequence[Proxy], step: Step) -> None:
    def hit(fault: Fault | None) -> None:
        for proxy in proxies:
            proxy.hit(fault)

    await _while(lambda: hit(step.fault), lambda: hit(None), step.for_s)
