"""A service of the tests, run as a process: ``python -m tests.runtime.process <what to do>``."""

import asyncio
import sys

from pydantic_settings import SettingsConfigDict

from whimbrel.runtime.errors import StartRefused
from whimbrel.runtime.service import Service, main
from whimbrel.runtime.settings import ServiceSettings, load


class ProcessSettings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="WHIMBREL_EDGE_")


async def serve(service: Service) -> None:
    """Answer until asked to stop, then end at once."""
    bus = await service.connect()
    service.detail = lambda: {"connected": bus.connected}
    service.health.ready()
    service.log.info("process.ready")
    await service.stopping.wait()


async def drain_for_ever(service: Service) -> None:
    service.health.ready()
    service.log.info("process.ready")
    try:
        await asyncio.Event().wait()
    finally:
        service.log.info("process.cancelled")


async def fail(service: Service) -> None:
    raise LookupError("of the test")


async def refuse(service: Service) -> None:
    raise StartRefused("the file of keys does not exist")


async def end(service: Service) -> None:
    """Return without being asked to."""


if __name__ == "__main__":
    main("edge", load(ProcessSettings), globals()[sys.argv[1]])
