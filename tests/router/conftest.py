"""A router on a real bus, and the connections of others to it."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.support.nats import PARTITIONS, NatsServer
from tests.support.nats import nats_server as nats_server
from tests.support.services import running
from tests.support.waiting import within
from whimbrel.router.app import run
from whimbrel.router.settings import RouterSettings
from whimbrel.router.shell import groups
from whimbrel.runtime.logs import Logger
from whimbrel.runtime.nats import Connection
from whimbrel.runtime.service import Service

SERVICE_KEY = "a-service-key-for-tests"
LOG = Logger(logging.getLogger("whimbrel.test"))

NAMESPACES = """
orders: {durable: true, subscribe: authenticated}
staff: {durable: true, subscribe: {groups: [staff]}}
typing: {durable: false, subscribe: authenticated, publish: subscribers}
"""

Connect = Callable[[str], Awaitable[Connection]]


@dataclass
class Router:
    """One running router."""

    service: Service
    http: httpx.AsyncClient


@pytest.fixture
def server(nats_server: Callable[[], NatsServer]) -> NatsServer:
    return nats_server()


@pytest.fixture
async def connect(server: NatsServer) -> AsyncIterator[Connect]:
    connections: list[Connection] = []

    async def connected(user: str) -> Connection:
        connection = Connection(server.url(user), name=user, log=LOG, inbox_prefix=f"_INBOX.{user}")
        connections.append(connection)
        await within(connection.open())
        return connection

    yield connected
    for connection in connections:
        await connection.close(timeout=0.2)


def settings(server: NatsServer, folder: Path, **changes: object) -> RouterSettings:
    """Return the settings of a router whose namespaces file holds NAMESPACES."""
    file = folder / "namespaces.yaml"
    if not file.exists():
        file.write_text(NAMESPACES)
    return RouterSettings.model_validate(
        {
            "nats_url": server.url("router"),
            "port": 0,
            "ops_port": 0,
            "service_key": SERVICE_KEY,
            "namespaces_file": file,
            "partitions": PARTITIONS,
            "drain_s": 2,
            **changes,
        }
    )


@pytest.fixture
async def router(server: NatsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Router]:
    monkeypatch.setattr(groups, "TELL_AGAIN_S", groups.TELL_AGAIN_S / 10)
    async with running("router", settings(server, tmp_path), run) as service, client(service) as http:
        yield Router(service, http)


def client(service: Service, key: str = SERVICE_KEY) -> httpx.AsyncClient:
    """Return an HTTP client of ``service`` that holds the service key."""
    return httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{service.detail()['port']}", headers={"authorization": f"Bearer {key}"}
    )
