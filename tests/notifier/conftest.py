"""A platform to run notifiers on: a real nats-server, the declared streams, namespaces, and a domain team."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.notifier.platform import Platform
from tests.support.nats import NatsServer
from tests.support.nats import nats_server as nats_server
from tests.support.waiting import within


@pytest.fixture
async def platform(nats_server: Callable[[], NatsServer], tmp_path: Path) -> AsyncIterator[Platform]:
    platform = Platform(nats_server(), tmp_path)
    await within(platform.open())
    yield platform
    await platform.close()
