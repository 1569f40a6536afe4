"""A server and connections to it, closed with the test."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import uvloop

from tests.support.nats import NatsServer
from tests.support.nats import nats_server as nats_server
from tests.support.waiting import within
from whimbrel.runtime.logs import Logger
from whimbrel.runtime.nats import Connection

Connect = Callable[..., Awaitable[Connection]]


@pytest.fixture
def server(nats_server: Callable[[], NatsServer]) -> NatsServer:
    return nats_server()


@pytest.fixture
def log() -> Logger:
    return Logger(logging.getLogger("whimbrel.test"))


@pytest.fixture
async def connect(server: NatsServer, log: Logger) -> AsyncIterator[Connect]:
    """Return a function that connects as a user of the configuration."""
    connections: list[Connection] = []

    async def connected(user: str = "router") -> Connection:
        connection = Connection(server.url(user), name=user, log=log, inbox_prefix=f"_INBOX.{user}")
        connections.append(connection)
        await within(connection.open())
        return connection

    yield connected
    for connection in connections:
        await connection.close(timeout=0.2)


def pytest_asyncio_loop_factories(item: pytest.Item) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Services run on uvloop; tools may not, and a lost socket looks different there."""
    if item.path.stem in ("test_connection", "test_fastclient"):
        return {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}
    return {"uvloop": uvloop.new_event_loop}
