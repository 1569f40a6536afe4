"""Auth on a real bus whose layout is declared, and the connections of edges to it."""

import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.auth.forge import JWKS
from tests.support.nats import PARTITIONS, NatsServer
from tests.support.nats import nats_server as nats_server
from tests.support.services import running
from tests.support.waiting import within
from whimbrel.auth.app import run
from whimbrel.auth.settings import AuthSettings
from whimbrel.runtime import jetstream
from whimbrel.runtime.logs import Logger
from whimbrel.runtime.nats import Connection
from whimbrel.runtime.service import Service

SERVICE_KEY = "a-service-key-for-tests"
LOG = Logger(logging.getLogger("whimbrel.test"))

Connect = Callable[[str], Awaitable[Connection]]


@dataclass
class Auth:
    """One running auth service."""

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


def settings(server: NatsServer, folder: Path, **changes: object) -> AuthSettings:
    """Return the settings of an auth service with the keys of the forge."""
    keys = folder / "keys.json"
    keys.write_text(json.dumps({"keys": JWKS}))
    return AuthSettings.model_validate(
        {
            "nats_url": server.url("auth"),
            "port": 0,
            "ops_port": 0,
            "service_key": SERVICE_KEY,
            "keys_file": keys,
            "drain_s": 2,
            **changes,
        }
    )


@pytest.fixture
async def auth(server: NatsServer, tmp_path: Path, connect: Connect) -> AsyncIterator[Auth]:
    await jetstream.declare(await connect("router"), partitions=PARTITIONS, replicas=1)
    async with running("auth", settings(server, tmp_path), run) as service, client(service) as http:
        yield Auth(service, http)


def client(service: Service) -> httpx.AsyncClient:
    """Return an HTTP client of ``service`` that holds the service key."""
    return httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{service.detail()['port']}", headers={"authorization": f"Bearer {SERVICE_KEY}"}
    )
