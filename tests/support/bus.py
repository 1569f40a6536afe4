"""A real bus for tests of one service, connections of anybody to it, and an HTTP client of the service."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import httpx
import pytest

from tests.support.nats import NatsServer
from tests.support.waiting import within
from whimbrel.runtime.logs import Logger
from whimbrel.runtime.nats import Connection
from whimbrel.runtime.service import Service

SERVICE_KEY: Final = "a-service-key-for-tests"
LOG: Final = Logger(logging.getLogger("whimbrel.test"))

Connect = Callable[..., Awaitable[Connection]]


@dataclass
class Serving:
    """One running service, and a client of it that holds the service key."""

    service: Service
    http: httpx.AsyncClient


@pytest.fixture
def server(nats_server: Callable[[], NatsServer]) -> NatsServer:
    return nats_server()


@asynccontextmanager
async def connecting(server: NatsServer, log: Logger) -> AsyncIterator[Connect]:
    """Yield a function that connects as a user of the configuration, the router where none is named."""
    connections: list[Connection] = []

    async def connected(user: str = "router") -> Connection:
        connection = Connection(server.url(user), name=user, log=log, inbox_prefix=f"_INBOX.{user}")
        connections.append(connection)
        await within(connection.open())
        return connection

    yield connected
    for connection in connections:
        await connection.close(timeout=0.2)


@pytest.fixture
async def connect(server: NatsServer) -> AsyncIterator[Connect]:
    async with connecting(server, LOG) as connected:
        yield connected


def client(service: Service, key: str = SERVICE_KEY) -> httpx.AsyncClient:
    """Return an HTTP client of ``service`` that holds the service key."""
    return httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{service.detail()['port']}", headers={"authorization": f"Bearer {key}"}
    )
