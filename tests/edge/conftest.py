"""One bus for all tests of the edge, beside it what the edge asks, and one edge per module.

A module whose tests use ``edge`` or ``neighbours`` runs in one loop, by its ``pytestmark``.
"""

import asyncio
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
import uvloop

from tests.edge.edges import Edge, an_edge
from tests.edge.neighbours import Neighbours, declare
from tests.edge.pairs import Pair
from tests.support.nats import NatsServer
from tests.support.nats import nats_server as nats_server


@pytest.fixture(scope="session")
def bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    """A server with the declared layout, shared by tests that do it no harm: each uses names of its own."""
    server = NatsServer(tmp_path_factory.mktemp("bus")).start()
    asyncio.run(declare(server))
    yield server
    server.kill()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def neighbours(bus: NatsServer) -> AsyncIterator[Neighbours]:
    neighbours = Neighbours(bus)
    await neighbours.open()
    yield neighbours
    await neighbours.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_edge(neighbours: Neighbours) -> AsyncIterator[Edge]:
    async with an_edge(neighbours) as edge:
        yield edge


@pytest_asyncio.fixture(loop_scope="module")
async def edge(shared_edge: Edge) -> AsyncIterator[Edge]:
    """An edge with the default settings but for the drain, without clients, its counters at zero."""
    await shared_edge.forget_clients()
    yield shared_edge
    await shared_edge.forget_clients()


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    """Return a certificate for localhost, with its key."""
    pair = Pair(tmp_path / "tls.crt", tmp_path / "tls.key")
    pair.issue()
    return pair


@pytest.fixture
def own_bus(nats_server: Callable[[], NatsServer]) -> NatsServer:
    """A server of one's own, to be ill-treated."""
    server = nats_server()
    asyncio.run(declare(server))
    return server


@pytest_asyncio.fixture
async def own_neighbours(own_bus: NatsServer) -> AsyncIterator[Neighbours]:
    neighbours = Neighbours(own_bus)
    await neighbours.open()
    yield neighbours
    await neighbours.close()


class _Loop(uvloop.Loop):
    def close(self) -> None:
        """Tell of what was left open; where that is an error, uvloop leaves the socket and waits for it for ever."""
        with warnings.catch_warnings():
            warnings.simplefilter("default", ResourceWarning)
            super().close()


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Services run on uvloop, and sockets behave differently there."""
    return {"uvloop": _Loop}
