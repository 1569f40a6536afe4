"""What surrounds a notifier in these tests: streams and namespaces as the router declares them, a domain team that
publishes events, a reader of what was stored, and the notifier processes themselves.
"""

import asyncio
import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.support.nats import PARTITIONS, NatsServer
from whimbrel.protocol import subjects
from whimbrel.protocol.channels import Channel
from whimbrel.protocol.rpc import ServiceStatus
from whimbrel.runtime import jetstream
from whimbrel.runtime.directget import DirectGet, Stored
from whimbrel.runtime.errors import BusFault, JetStreamRefused, RequestTimeout
from whimbrel.runtime.jetstream import Layout
from whimbrel.runtime.kv import Bucket
from whimbrel.runtime.logs import Logger
from whimbrel.runtime.nats import Connection, Delivery

ROUTES = """
routes:
  - subject: events.shop.order.*
    channels: ["orders:{id}"]
"""
NAMESPACES = {
    "orders": b'{"durable":true,"subscribe":"authenticated"}',
    "typing": b'{"durable":false,"subscribe":"authenticated","publish":"subscribers"}',
}


class Notifier:
    """A notifier in a process of its own."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path, instance: str) -> None:
        self.process = process
        self.instance = instance
        self._log = log

    @property
    def log(self) -> str:
        return self._log.read_text()

    def kill(self) -> None:
        """End it without a chance to do anything."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """Ask it to stop and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=20)

    def pause(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.process.send_signal(signal.SIGCONT)


class Platform:
    """Everything but the notifiers; ``notifier`` starts one."""

    def __init__(self, server: NatsServer, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self.layout = Layout(0, (), "")
        self._log = Logger(logging.getLogger("whimbrel.test"))
        self.router = self.connection("router")
        self.team = self.connection("domain")
        self.reads = DirectGet(self.router, timeout=10)
        self._notifiers: list[Notifier] = []

    def connection(self, user: str) -> Connection:
        return Connection(self.server.url(user), name=user, log=self._log, inbox_prefix=f"_INBOX.{user}")

    async def open(self) -> None:
        await self.router.open()
        await self.team.open()
        self.layout = await self._declared()
        for name, rules in NAMESPACES.items():
            await self.declare(name, rules)

    async def _declared(self) -> Layout:
        while True:  # a router asks again too: where disks are busy, a server may need longer to answer than it waits
            with contextlib.suppress(RequestTimeout):
                return await jetstream.declare(self.router, partitions=PARTITIONS, replicas=1)

    async def close(self) -> None:
        for notifier in self._notifiers:
            notifier.resume()
            notifier.kill()
        await self.team.close(timeout=0.2)
        await self.router.close(timeout=0.2)

    async def declare(self, namespace: str, rules: bytes) -> None:
        await Bucket(self.router, self.reads, subjects.NAMESPACES).put(namespace, rules)

    # Notifiers

    def notifier(self, routes: str = ROUTES, **environment: str) -> Notifier:
        """Start a notifier; it serves as soon as it is ready (``serving``)."""
        number = len(self._notifiers)
        file = self.folder / f"routes-{number}.yaml"
        file.write_text(routes)
        log = self.folder / f"notifier-{number}.log"
        instance = f"notifier-{number}"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "whimbrel.notifier"],
                stdout=output,
                stderr=subprocess.STDOUT,
                env=os.environ
                | {
                    "WHIMBREL_NOTIFIER_NATS_URL": self.server.url("notifier"),
                    "WHIMBREL_NOTIFIER_ROUTES_FILE": str(file),
                    "WHIMBREL_NOTIFIER_OPS_PORT": "0",
                    "WHIMBREL_NOTIFIER_INSTANCE": instance,
                    **environment,
                },
            )
        notifier = Notifier(process, log, instance)
        self._notifiers.append(notifier)
        return notifier

    async def serving(self, notifier: Notifier) -> Notifier:
        """Return ``notifier`` once it is ready."""
        while True:
            status = (await self.statuses()).get(notifier.instance)
            if status is not None and status.ready:
                return notifier
            assert notifier.process.poll() is None, notifier.log
            await asyncio.sleep(0.02)  # between two looks

    async def statuses(self) -> dict[str, ServiceStatus]:
        """Return what the running notifiers tell of themselves, by instance."""
        found: dict[str, ServiceStatus] = {}
        running = {one.instance for one in self._notifiers if one.process.poll() is None}

        def receive(delivery: Delivery) -> None:
            if delivery.status() == 0:
                status = ServiceStatus.model_validate_json(delivery.payload)
                found[status.instance] = status
            if not running - found.keys() and not complete.done():
                complete.set_result(None)

        complete: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        address = self.router.inbox.collect(receive, complete)
        self.router.send(subjects.STATUS, b"", reply=address)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                await complete
        complete.cancel()
        return found

    async def holdings(self) -> dict[str, list[int]]:
        """Return the partitions that each running notifier holds."""
        return {name: status.detail["partitions"] for name, status in (await self.statuses()).items()}

    # Events

    async def publish(
        self, subject: str, payload: bytes | Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> int:
        """Publish an event as a domain team does, until EVENTS has it; return its sequence."""
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        while True:
            try:
                return (await jetstream.publish(self.team, subject, body, headers, timeout=2)).seq
            except (BusFault, JetStreamRefused):
                await asyncio.sleep(0.05)  # between two tries; the test waits for the event itself

    # What was stored

    async def stored(self, channel: str) -> list[Stored]:
        """Return everything that is stored for ``channel``."""
        parsed = Channel.parse(channel)
        stream = subjects.history_stream(subjects.partition_of(parsed, PARTITIONS))
        return (await self.reads.batch(stream, subjects.stored_subject(parsed, PARTITIONS), 1)).messages

    async def in_histories(self) -> int:
        """Return how many publications the history streams have taken."""
        infos = [
            await jetstream.request(self.router, f"STREAM.INFO.{name}")
            for name in subjects.all_history_streams(PARTITIONS)
        ]
        return sum(info["state"]["last_seq"] for info in infos)

    async def await_stored(self, channel: str, count: int) -> list[Stored]:
        """Return what is stored for ``channel`` once there are ``count`` publications."""
        found: list[Stored] = []
        async with asyncio.timeout(40):
            while len(found) < count:
                found = await self._patiently(channel)
        return found

    async def _patiently(self, channel: str) -> list[Stored]:
        try:
            found = await self.stored(channel)
        except (BusFault, JetStreamRefused):
            found = []
        await asyncio.sleep(0.02)  # between two looks
        return found

    async def dead_letters(self, count: int) -> list[Stored]:
        """Return the dead letters once there are ``count``."""
        found: Sequence[Stored] = ()
        async with asyncio.timeout(30):
            while len(found) < count:
                found = (await self.reads.batch(subjects.DLQ, subjects.DLQ_NOTIFIER, 1)).messages
                await asyncio.sleep(0.02)  # between two looks
        return list(found)


def body(stored: Stored) -> dict[str, Any]:
    """Return the publication body of ``stored``."""
    parsed: dict[str, Any] = json.loads(stored.payload)
    return parsed
