"""A process: settings in, signals caught, the ops endpoints served, one coroutine run, a drain with a deadline."""

import asyncio
import importlib.metadata
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Final, NoReturn, TypeVar

import uvloop
from opentelemetry.trace import Tracer

from whimbrel.protocol import subjects
from whimbrel.protocol.rpc import ServiceStatus
from whimbrel.runtime import logs, serving, traces
from whimbrel.runtime.collector import Collector
from whimbrel.runtime.errors import StartRefused, Stopping
from whimbrel.runtime.health import Health
from whimbrel.runtime.logs import Logger
from whimbrel.runtime.metrics import Metrics
from whimbrel.runtime.nats import Connection, Delivery
from whimbrel.runtime.ops import ops_app
from whimbrel.runtime.settings import ServiceSettings
from whimbrel.runtime.vitals import Vitals

CANCEL_GRACE_S: Final = 2.0  # what is left after the drain's deadline has this long to clean up

T = TypeVar("T")
Run = Callable[["Service"], Awaitable[None]]


class Service:
    """What one process is and has; handed to the ``run`` of its app."""

    def __init__(self, name: str, settings: ServiceSettings, log: Logger, tracer: Tracer) -> None:
        self.name = name
        self.instance = settings.instance
        self.version = _version(name)
        self.settings = settings
        self.log = log
        self.tracer = tracer
        self.health = Health()
        self.metrics = Metrics()
        self.vitals = Vitals()
        self.vitals.expose(self.metrics)
        self.stopping = asyncio.Event()
        self.detail: Callable[[], dict[str, object]] = dict
        """What the service tells about itself in `rpc.status.v1`."""
        self.started_at = time.time()
        self._connections: dict[str, Connection] = {}
        self.metrics.labelled(
            "whimbrel_bus_connected", "1 while the connection to NATS is up.", "gauge", ("purpose",), self._bus_up
        )
        for name_, text, read in (
            ("connects", "Connections made to NATS, the first included.", lambda bus: bus.connects),
            ("rebuilds", "NATS clients given up and replaced.", lambda bus: bus.rebuilds),
            ("faults", "Errors reported by NATS, and deliveries that failed here.", lambda bus: bus.faults),
            ("slow_consumer_drops", "Messages dropped by nats-py.", lambda bus: bus.slow_consumer_drops),
            ("messages_in", "Messages delivered to our own subscriptions.", lambda bus: bus.messages_in),
        ):
            self.metrics.labelled(f"whimbrel_bus_{name_}_total", text, "counter", ("purpose",), self._bus(read))

    async def connect(self, purpose: str = "main") -> Connection:
        """Return a connection to the bus, once it is up; ready follows its state.

        One per ``purpose``: live deliveries and recovery do not share one. The ``main`` one answers `rpc.status.v1`.
        Raises Stopping when the process is asked to stop first.
        """
        check = "bus" if purpose == "main" else f"bus {purpose}"
        connection = Connection(
            self.settings.nats_url,
            name=f"whimbrel-{self.name}-{self.instance}-{purpose}",
            log=self.log.bind(purpose=purpose),
            inbox_prefix=f"_INBOX.{self.name}",
        )
        self._connections[purpose] = connection
        connection.on_connected.append(lambda: self.health.set(check, True))
        connection.on_disconnected.append(lambda: self.health.set(check, False, "not connected to NATS"))
        self.health.set(check, False, "connecting to NATS")
        if purpose == "main":
            await connection.subscribe(subjects.STATUS, self._answer_status)
        await self.unless_stopping(connection.open())
        return connection

    async def unless_stopping(self, waiting: Awaitable[T]) -> T:
        """Return what ``waiting`` gives, but wait no longer than until the process is asked to stop.

        Raises Stopping.
        """
        wanted = asyncio.ensure_future(waiting)
        stop = asyncio.ensure_future(self.stopping.wait())
        try:
            await asyncio.wait({wanted, stop}, return_when=asyncio.FIRST_COMPLETED)
            if not wanted.done():
                raise Stopping("the process was asked to stop")
            return await wanted
        finally:
            stop.cancel()
            wanted.cancel()

    def status(self) -> ServiceStatus:
        """Return how the process answers `rpc.status.v1`."""
        return ServiceStatus(
            service=self.name,
            instance=self.instance,
            version=self.version,
            ready=self.health.is_ready,
            reasons=self.health.reasons,
            started_at=self.started_at,
            pid=os.getpid(),
            detail=self.detail(),
        )

    async def close_connections(self) -> None:
        """Leave the bus."""
        await asyncio.gather(*(connection.close() for connection in self._connections.values()))

    def _answer_status(self, request: Delivery) -> None:
        if request.reply:
            self._connections["main"].send(request.reply, self.status().model_dump_json().encode())

    def _bus_up(self) -> dict[tuple[str, ...], int]:
        return {(purpose,): int(bus.connected) for purpose, bus in self._connections.items()}

    def _bus(self, read: Callable[[Connection], int]) -> Callable[[], dict[tuple[str, ...], int]]:
        return lambda: {(purpose,): read(bus) for purpose, bus in self._connections.items()}


def main(name: str, settings: ServiceSettings, run: Run) -> NoReturn:
    """Run the process until ``run`` returns, and exit: 0 for a clean end, 1 for a fault, 2 where it could not start.

    SIGTERM or SIGINT set ``service.stopping``; ``run`` then has ``settings.drain_s`` to return, a second signal or
    the deadline cancels it.
    """
    log = logs.setup(name, settings.instance, level=settings.log_level, log_format=settings.log_format)
    tracer = traces.setup(f"whimbrel-{name}", settings.instance, _version(name))
    try:
        code = uvloop.run(_live(name, settings, run, log, tracer))
    except StartRefused as refusal:
        sys.stderr.write(f"whimbrel-{name}: {refusal}.\n")
        code = 2
    except KeyboardInterrupt:  # before there was a loop to take the signal
        code = 130
    traces.shutdown()
    sys.exit(code)


async def _live(name: str, settings: ServiceSettings, run: Run, log: Logger, tracer: Tracer) -> int:
    service = Service(name, settings, log, tracer)
    service.vitals.start()
    collector = Collector()
    collector.start()
    service.vitals.on_look.append(collector.look)
    ops_socket = serving.bind(settings.ops_host, settings.ops_port)
    running = asyncio.ensure_future(run(service))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stop, service, running)
    ops = asyncio.create_task(serving.serve(ops_app(service.health, service.metrics), ops_socket, grace_s=1))
    log.info("service.started", version=service.version, pid=os.getpid(), ops_port=ops_socket.getsockname()[1])
    stop = asyncio.create_task(service.stopping.wait())
    await asyncio.wait({running, stop, ops}, return_when=asyncio.FIRST_COMPLETED)
    if not running.done():
        service.stopping.set()
        service.health.draining()
        log.info("service.draining", seconds=settings.drain_s)
        await asyncio.wait({running}, timeout=settings.drain_s)
    if not running.done():
        log.warning("service.drain_expired", seconds=settings.drain_s)
        running.cancel()
        await asyncio.wait({running}, timeout=CANCEL_GRACE_S)
    ops.cancel()
    stop.cancel()
    await asyncio.wait({ops, stop})
    await service.close_connections()
    service.vitals.stop()
    collector.stop()
    code = max(_verdict(service, running), _verdict(service, ops))
    log.info("service.stopped", clean=code == 0 and running.done() and not running.cancelled())
    return code


def _stop(service: Service, running: asyncio.Future[None]) -> None:
    if service.stopping.is_set():
        running.cancel()  # asked twice: now
    service.stopping.set()


def _verdict(service: Service, task: asyncio.Future[None]) -> int:
    error = task.exception() if task.done() and not task.cancelled() else None
    if isinstance(error, StartRefused):
        raise error
    if error is not None and not isinstance(error, Stopping):
        service.log.exception("service.failed", error)
        return 1
    return 0


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(f"whimbrel-{name}")
    except importlib.metadata.PackageNotFoundError:
        return importlib.metadata.version("whimbrel-runtime")
