"""A server and connections to it, closed with the test."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable

import pytest
import uvloop

from tests.support.bus import Connect as Connect
from tests.support.bus import connecting
from tests.support.nats import NatsServer
from tests.support.nats import nats_server as nats_server
from whimbrel.runtime.logs import Logger


@pytest.fixture
def server(nats_server: Callable[[], NatsServer]) -> NatsServer:
    return nats_server()


@pytest.fixture
def log() -> Logger:
    return Logger(logging.getLogger("whimbrel.test"))


@pytest.fixture
async def connect(server: NatsServer, log: Logger) -> AsyncIterator[Connect]:
    async with connecting(server, log) as connected:
        yield connected


def pytest_asyncio_loop_factories(item: pytest.Item) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Services run on uvloop; tools may not, and a lost socket looks different there."""
    if item.path.stem in ("test_connection", "test_fastclient"):
        return {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}
    return {"uvloop": uvloop.new_event_loop}
