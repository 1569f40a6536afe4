"""A router on a real bus, and the connections of others to it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.bus import SERVICE_KEY, Serving, client
from tests.support.bus import connect as connect
from tests.support.bus import server as server
from tests.support.nats import PARTITIONS, NatsServer
from tests.support.nats import nats_server as nats_server
from tests.support.services import running
from whimbrel.router.app import run
from whimbrel.router.settings import RouterSettings
from whimbrel.router.shell import groups

NAMESPACES = """
orders: {durable: true, subscribe: authenticated}
staff: {durable: true, subscribe: {groups: [staff]}}
typing: {durable: false, subscribe: authenticated, publish: subscribers}
"""


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
async def router(server: NatsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Serving]:
    monkeypatch.setattr(groups, "TELL_AGAIN_S", groups.TELL_AGAIN_S / 10)
    async with running("router", settings(server, tmp_path), run) as service, client(service) as http:
        yield Serving(service, http)
