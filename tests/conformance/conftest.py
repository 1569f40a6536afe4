"""The edge for clients that know the contract alone; what surrounds it is that of its own tests."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

import pytest

from tests.conformance.clients import CLIENTS, Books, Client
from tests.edge.conftest import bus as bus
from tests.edge.conftest import edge as edge
from tests.edge.conftest import neighbours as neighbours
from tests.edge.conftest import pytest_asyncio_loop_factories as pytest_asyncio_loop_factories
from tests.edge.conftest import shared_edge as shared_edge


class Opening(Protocol):
    """Opens a client of the transport under test, and closes it."""

    def __call__(
        self, port: int, token: str, *channels: str, books: Books | None = None
    ) -> AbstractAsyncContextManager[Client]: ...


@pytest.fixture(params=CLIENTS, ids=[client.NAME for client in CLIENTS])
def transport(request: pytest.FixtureRequest) -> type[Client]:
    """Every transport in its turn."""
    client: type[Client] = request.param
    return client


@pytest.fixture
def a_client(transport: type[Client]) -> Opening:
    @asynccontextmanager
    async def opened(port: int, token: str, *channels: str, books: Books | None = None) -> AsyncIterator[Client]:
        client = transport(books)
        await client.open(port, token, *channels)
        try:
            yield client
        finally:
            await client.close()

    return opened
