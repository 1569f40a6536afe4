"""Puts the router together."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from whimbrel.protocol import subjects
from whimbrel.protocol.namespaces import ROUTER_OWNED
from whimbrel.router.core.namespaces import MalformedNamespaces, Table, parse
from whimbrel.router.settings import RouterSettings
from whimbrel.router.shell.deadletters import DeadLetters
from whimbrel.router.shell.gaps import Gaps
from whimbrel.router.shell.groups import Groups
from whimbrel.router.shell.http import application
from whimbrel.router.shell.metrics import Counts
from whimbrel.router.shell.namespaces import NamespaceTable
from whimbrel.router.shell.responder import Responder
from whimbrel.router.shell.resumekeys import ResumeKeys
from whimbrel.router.shell.sessions import Sessions
from whimbrel.router.shell.status import Status
from whimbrel.runtime import http, jetstream
from whimbrel.runtime.directget import DirectGet
from whimbrel.runtime.errors import BusFault, JetStreamRefused, LayoutMismatch, StartRefused
from whimbrel.runtime.kv import Bucket, KvView
from whimbrel.runtime.logs import Logger
from whimbrel.runtime.nats import Connection
from whimbrel.runtime.service import Service

RETRY_S: Final = 0.5


async def run(service: Service) -> None:
    """Serve until the process is asked to stop."""
    settings = service.settings
    assert isinstance(settings, RouterSettings)
    wanted = _namespaces(settings.namespaces_file)
    guard = http.service_key(settings.service_key.get_secret_value())
    socket = http.bind(settings.host, settings.port)

    bus = await service.connect()
    reads = DirectGet(await service.connect("reads"))  # a long read must not hold up questions
    counts = Counts()
    counts.expose(service.metrics)
    groups = Groups(bus, reads, counts, service.log, clock=time.time)
    view = KvView(bus, reads, subjects.NAMESPACES, service.log)
    namespaces = NamespaceTable(Bucket(bus, reads, subjects.NAMESPACES), view, service.log)
    responder = Responder(groups, lambda: namespaces.table, counts)
    keys = ResumeKeys(Bucket(bus, reads, subjects.KEYS), service.log, clock=time.time, entropy=secrets.token_bytes)
    app = application(
        groups,
        namespaces,
        responder,
        Status(bus),
        DeadLetters(bus, reads, service.log),
        Sessions(bus, reads, clock=time.time),
        Gaps(reads),
        service.log,
        guard=guard,
    )
    service.detail = lambda: {
        "port": socket.getsockname()[1],
        "partitions": settings.partitions,
        "replicas": settings.replicas,
        "namespaces": sorted(namespaces.table),
        "resolved": counts.resolved,
    }

    async def prepare() -> None:
        await _insist(lambda: _declare(bus, settings), service.log)
        await namespaces.open()
        await _insist(lambda: namespaces.write(wanted or ROUTER_OWNED, remove=wanted is not None), service.log)
        await _insist(keys.check, service.log)

    await service.unless_stopping(prepare())
    await responder.attach(bus)
    rotating = asyncio.create_task(keys.run(), name="resume keys")
    try:
        service.log.info("router.serving", port=socket.getsockname()[1], partitions=settings.partitions)
        service.health.ready()
        await http.serve(app, socket, stop=service.stopping, grace_s=settings.drain_s)
        await groups.settle()
    finally:
        rotating.cancel()
        await asyncio.wait([rotating])
        await view.close()


def _namespaces(path: Path | None) -> Table | None:
    if path is None:
        return None
    try:
        return parse(path.read_bytes())
    except OSError as error:
        raise StartRefused(
            f"cannot read the namespaces file {path} (WHIMBREL_ROUTER_NAMESPACES_FILE): {error.strerror}"
        ) from error
    except MalformedNamespaces as fault:
        raise StartRefused(f"the namespaces file {path} cannot be used: {fault}") from fault


async def _declare(bus: Connection, settings: RouterSettings) -> None:
    try:
        await jetstream.declare(bus, partitions=settings.partitions, replicas=settings.replicas)
    except LayoutMismatch as mismatch:
        raise StartRefused(str(mismatch)) from mismatch


async def _insist(step: Callable[[], Awaitable[None]], log: Logger) -> None:
    while True:
        try:
            await step()
            return
        except (BusFault, JetStreamRefused) as error:
            # JetStream may still be starting, or too few of its servers are there for so many replicas.
            log.warning("router.start_delayed", error=str(error))
            await asyncio.sleep(RETRY_S)
