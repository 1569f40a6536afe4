"""Puts the notifier together."""

import asyncio
import contextlib
import random
import time
from collections.abc import Sequence
from typing import Final

from whimbrel.notifier.core.peers import Peers
from whimbrel.notifier.settings import NotifierSettings
from whimbrel.notifier.shell.archive import Archive
from whimbrel.notifier.shell.consumer import Consumer
from whimbrel.notifier.shell.desk import Desk
from whimbrel.notifier.shell.metrics import Counts
from whimbrel.notifier.shell.partition import Partition
from whimbrel.notifier.shell.publisher import Publisher
from whimbrel.notifier.shell.removals import Removals
from whimbrel.notifier.shell.repeats import Repeats
from whimbrel.notifier.shell.routes import read_routes
from whimbrel.notifier.shell.sharing import Sharing
from whimbrel.notifier.shell.tenure import Tenure
from whimbrel.protocol import subjects
from whimbrel.runtime import catalogue, jetstream
from whimbrel.runtime.directget import DirectGet
from whimbrel.runtime.errors import LayoutMismatch
from whimbrel.runtime.logs import Logger
from whimbrel.runtime.namespaces import Namespaces
from whimbrel.runtime.nats import Connection
from whimbrel.runtime.service import Service

LEAVE_SHARE: Final = 0.8  # of the drain's time for finishing what is begun; the rest is for taking leave


async def run(service: Service) -> None:
    """Turn events into publications until the process is asked to stop."""
    settings = service.settings
    assert isinstance(settings, NotifierSettings)
    routes = read_routes(settings.routes_file)
    bus = await service.connect()
    recovery = await service.connect("recovery")
    layout = await _layout(service, bus)
    namespaces = Namespaces(bus, DirectGet(recovery), service.log)
    await service.unless_stopping(namespaces.open())

    counts = Counts(service.metrics)
    archive = Archive(recovery, partitions=layout.partitions, clock=time.monotonic)
    publisher = Publisher(bus, archive, counts, service.log, clock=time.monotonic, chance=random.random)
    repeats = Repeats(DirectGet(recovery), service.log, clock=time.monotonic)
    removals = Removals(bus, DirectGet(recovery), service.log, partitions=layout.partitions)
    removals.expose(service.metrics)
    publisher.on_stored.append(removals.stored)
    desk = Desk(
        routes,
        lambda: namespaces.current,
        service.tracer,
        service.log,
        epoch=layout.events_epoch,
        restored_at=layout.restored_at,
        max_bytes=catalogue.MAX_MESSAGE_BYTES,
        clock=time.monotonic,
        unix_time=time.time,
    )

    def tenure(consumer: Consumer, log: Logger, pin: str, handled: int) -> Tenure:
        return Tenure(
            bus,
            consumer,
            desk,
            publisher,
            repeats,
            counts,
            log,
            pin=pin,
            handled=handled,
            clock=time.monotonic,
            unix_time=time.time,
        )

    async def same_stream() -> None:
        if (await jetstream.layout(bus)).events_epoch != layout.events_epoch:
            raise LayoutMismatch("stream EVENTS was lost and declared anew: start the notifier again")

    sharing = Sharing(bus, Peers(service.instance), service.log, clock=time.monotonic)
    sharing.partitions = [
        Partition(
            number,
            bus,
            service.log,
            tenure=tenure,
            may_claim=sharing.may_claim,
            same_stream=same_stream,
            chance=random.random,
        )
        for number in range(subjects.EVENT_PARTITIONS)
    ]
    sharing.expose(service.metrics)
    service.detail = lambda: _detail(sharing, counts, publisher)
    running = [asyncio.create_task(partition.run()) for partition in sharing.partitions]
    running.append(asyncio.create_task(removals.run()))
    running.append(asyncio.create_task(sharing.run(service.instance, publisher)))
    service.log.info("notifier.serving", routes=len(routes), namespaces=len(namespaces.current))
    service.health.ready()
    await _until_stopped(service, running)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(settings.drain_s * LEAVE_SHARE):
            await sharing.leave()
    left = sharing.in_hand
    await _cancel(running)
    await namespaces.close()
    service.log.info(
        "notifier.drained",
        events=counts.events,
        publications=counts.stored + counts.live,
        dead_letters=counts.dead.total(),
        left_unfinished=left,
    )


async def _layout(service: Service, bus: Connection) -> jetstream.Layout:
    found: list[jetstream.Layout] = []

    async def read() -> None:
        found.append(await jetstream.await_layout(bus, service.log))

    await service.unless_stopping(read())
    return found[0]


async def _until_stopped(service: Service, running: Sequence[asyncio.Task[None]]) -> None:
    """Return when the process is asked to stop; a task that ends before that is a fault, which is raised."""
    stop = asyncio.create_task(service.stopping.wait())
    done, _ = await asyncio.wait({stop, *running}, return_when=asyncio.FIRST_COMPLETED)
    for task in done - {stop}:
        task.result()


async def _cancel(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


def _detail(sharing: Sharing, counts: Counts, publisher: Publisher) -> dict[str, object]:
    tenures = sharing.tenures
    return {
        "partitions": sorted(tenures),
        "lag": {str(number): tenure.lag for number, tenure in tenures.items()},
        "in_hand": sharing.in_hand,
        "under_way": len(publisher),
        "events": counts.events,
        "publications": counts.stored + counts.live,
        "duplicates": counts.duplicates,
        "retries": counts.retries,
        "dead_letters": dict(counts.dead),
    }
