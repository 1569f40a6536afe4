"""Auth on a real bus whose layout is declared, and the connections of edges to it."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.auth.forge import JWKS
from tests.support.bus import SERVICE_KEY, Connect, Serving, client
from tests.support.bus import connect as connect
from tests.support.bus import server as server
from tests.support.nats import PARTITIONS, NatsServer
from tests.support.nats import nats_server as nats_server
from tests.support.services import running
from whimbrel.auth.app import run
from whimbrel.auth.settings import AuthSettings
from whimbrel.runtime import jetstream


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
async def auth(server: NatsServer, tmp_path: Path, connect: Connect) -> AsyncIterator[Serving]:
    await jetstream.declare(await connect("router"), partitions=PARTITIONS, replicas=1)
    async with running("auth", settings(server, tmp_path), run) as service, client(service) as http:
        yield Serving(service, http)
