"""A service inside the test's own loop: everything but the process."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from opentelemetry.trace import NoOpTracer

from tests.support.waiting import within
from whimbrel.runtime.health import Health
from whimbrel.runtime.logs import Logger
from whimbrel.runtime.service import Run, Service
from whimbrel.runtime.settings import ServiceSettings


class _Announced(Health):
    """Health that tells when the service is constructed."""

    def __init__(self) -> None:
        super().__init__()
        self.announced = asyncio.Event()

    def ready(self) -> None:
        super().ready()
        self.announced.set()


@asynccontextmanager
async def running(name: str, settings: ServiceSettings, run: Run) -> AsyncIterator[Service]:
    """Run a service from when it is ready until the end of the block; raises what ``run`` raises."""
    service = Service(name, settings, Logger(logging.getLogger(f"whimbrel.{name}")), NoOpTracer())
    health = service.health = _Announced()
    service.vitals.start()
    serving = asyncio.ensure_future(run(service))
    announced = asyncio.ensure_future(health.announced.wait())
    try:
        await within(asyncio.wait({serving, announced}, return_when=asyncio.FIRST_COMPLETED))
        if serving.done():
            serving.result()
            raise AssertionError(f"{name} ended before it was ready")
        yield service
    finally:
        service.stopping.set()
        announced.cancel()
        await within(asyncio.wait({serving}))
        await service.close_connections()
        service.vitals.stop()
    serving.result()
