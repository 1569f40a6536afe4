"""Puts the edge together; the only file that constructs."""

import asyncio
import resource
import socket
from asyncio import FIRST_COMPLETED
from typing import Any, Final

from whimbrel.edge.core.hub import Hub
from whimbrel.edge.settings import Settings
from whimbrel.edge.shell.building import Building
from whimbrel.edge.shell.bus import Bus
from whimbrel.edge.shell.certificate import Certificate
from whimbrel.edge.shell.commands import application
from whimbrel.edge.shell.drain import drain
from whimbrel.edge.shell.fanout import Fanout
from whimbrel.edge.shell.gaps import Gaps
from whimbrel.edge.shell.gatekeeper import Gatekeeper
from whimbrel.edge.shell.journal import Journal
from whimbrel.edge.shell.metrics import Counters
from whimbrel.edge.shell.opening import Openings
from whimbrel.edge.shell.pod import Pod
from whimbrel.edge.shell.readmarks import ReadMarks
from whimbrel.edge.shell.requests import Requests
from whimbrel.edge.shell.streams import Streams
from whimbrel.edge.shell.sweeps import Sweeps
from whimbrel.edge.shell.tracing import Tracing
from whimbrel.edge.shell.users import Users
from whimbrel.edge.shell.watch import Watch
from whimbrel.protocol import subjects
from whimbrel.runtime import http, jetstream, traces
from whimbrel.runtime.directget import DirectGet
from whimbrel.runtime.kv import Bucket, KvView
from whimbrel.runtime.namespaces import Namespaces
from whimbrel.runtime.service import Service

OTHER_FILES: Final = 256  # beside the clients' sockets: the bus, logs, certificates
READERS: Final = 2  # connections for recovery: a direct get runs inside the server's loop for its connection


async def run(service: Service) -> None:
    """Serve until the process is asked to stop or a part of it fails, then send the clients elsewhere.

    Raises the fault of that part.
    """
    settings = service.settings
    assert isinstance(settings, Settings)
    _allow_files(settings.max_sockets + OTHER_FILES, service)
    certificate: Certificate | None = None
    if settings.tls_certificate is not None and settings.tls_key is not None:
        certificate = Certificate(settings.tls_certificate, settings.tls_key, service.log)
    listener = http.bind(settings.host, settings.port)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, settings.send_buffer_bytes)  # accepted sockets inherit it
    control = await service.connect()
    live = await service.connect("live")
    readers = [DirectGet(await service.connect(f"recovery{number}")) for number in range(READERS)]
    layout = await service.unless_stopping(jetstream.await_layout(control, service.log))

    namespaces = Namespaces(control, readers[0], service.log)
    keys = KvView(control, readers[0], subjects.KEYS, service.log)
    revoked = KvView(control, readers[0], subjects.REVOKED, service.log)
    for view in (namespaces, keys, revoked):
        await service.unless_stopping(view.open())

    hub = Hub()
    counters = Counters()
    fanout = Fanout(hub, service.tracer, counters)
    gaps = Gaps(control, service.instance, service.log)
    bus = Bus(hub, fanout, live, Streams(layout, control, readers), gaps, service.log)
    sweeps = Sweeps(bus, hub, live, service.log)
    marks = ReadMarks(control, readers[0], service.log)
    users = Users(control, service.log)
    users.on_acked.append(marks.hear)
    journal = Journal(control, Bucket(control, readers[0], subjects.PODS), service.instance, hub, service.log)
    await journal.open()
    tracing = Tracing(service.tracer, traces.root_ratio())
    pod = Pod(
        settings,
        hub,
        Openings(bus, marks, namespaces.current, tracing),
        Requests(hub, bus, marks, control, tracing, service.log),
        Gatekeeper(control, users, keys, revoked),
        namespaces.current,
        counters,
        journal,
        tracing,
        gaps,
        service.log,
    )
    watch = Watch(pod, service.vitals, service.health)
    namespaces.on_change.append(pod.rules_changed)
    fanout.on_flushed.append(pod.flushed)
    pod.expose(service.metrics)
    bus.expose(service.metrics)
    sweeps.expose(service.metrics)
    fanout.expose(service.metrics)
    watch.expose(service.metrics)
    service.vitals.on_look += (bus.hearing.time_next, pod.weigh_outboxes)
    port = listener.getsockname()[1]
    service.detail = lambda: {"port": port, **pod.detail()}

    upkeep = [asyncio.create_task(part.run()) for part in (pod, bus, sweeps, users, marks, journal, gaps)]
    tls: http.Tls | None = None
    if certificate is not None:
        certificate.expose(service.metrics)
        upkeep.append(asyncio.create_task(certificate.run()))
        tls = http.Tls(certificate.context, settings.request_timeout_s)
    serving = asyncio.create_task(http.serve(application(pod), listener, http=Building(pod), tls=tls))
    service.log.info("edge.serving", port=port, tls=tls is not None)
    service.health.ready()
    try:
        parts: list[asyncio.Future[Any]] = [*upkeep, serving, asyncio.ensure_future(service.stopping.wait())]
        ended, _ = await asyncio.wait(parts, return_when=FIRST_COMPLETED)
        service.stopping.set()  # also where a part has failed: another process serves better than what is left of this
        await drain(pod, settings.drain_s)
        for part in ended:
            part.result()
    finally:
        for task in (*upkeep, serving):
            task.cancel()
        await asyncio.gather(*upkeep, serving, return_exceptions=True)
        await asyncio.gather(journal.close(), gaps.close())
        for view in (namespaces, keys, revoked):
            await view.close()


def _allow_files(wanted: int, service: Service) -> None:
    """Raise the process' limit of open files to ``wanted``, as far as the system lets us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    if most < wanted:
        service.log.info("edge.few_files", allowed=most, wanted=wanted)
