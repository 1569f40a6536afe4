"""One bus for all tests of the edge, beside it what the edge asks, and an edge."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import uvloop

from tests.edge.edges import Edge, an_edge
from tests.edge.neighbours import Neighbours, declare
from tests.support.nats import NatsServer
from tests.support.nats import nats_server as nats_server


@pytest.fixture(scope="session")
def bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    """A server with the declared layout, shared by tests that do it no harm: each uses names of its own."""
    server = NatsServer(tmp_path_factory.mktemp("bus")).start()
    asyncio.run(declare(server))
    yield server
    server.kill()


@pytest.fixture
def own_bus(nats_server: Callable[[], NatsServer], tmp_path: Path) -> NatsServer:
    """A server of one's own, to be ill-treated."""
    server = nats_server()
    asyncio.run(declare(server))
    return server


@pytest.fixture
async def neighbours(bus: NatsServer) -> AsyncIterator[Neighbours]:
    neighbours = Neighbours(bus)
    await neighbours.open()
    yield neighbours
    await neighbours.close()


@pytest.fixture
async def edge(neighbours: Neighbours) -> AsyncIterator[Edge]:
    """An edge with the default settings, but for the drain."""
    async with an_edge(neighbours) as edge:
        yield edge


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Services run on uvloop, and sockets behave differently there."""
    return {"uvloop": uvloop.new_event_loop}
