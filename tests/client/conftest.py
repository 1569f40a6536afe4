"""A fake edge per test, and a client that never waits longer than a test has patience for."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tests.client.fake_edge import FakeEdge
from whimbrel.client import Client, Timing

QUICK = Timing(retry_s=0.01, advice_s=0.05, probe_s=0.05, poll_wait_s=5)

MakeClient = Callable[..., Client]


@pytest.fixture
async def edge() -> AsyncIterator[FakeEdge]:
    async with FakeEdge() as fake:
        yield fake


@pytest.fixture
def client_of() -> MakeClient:
    """Return a function that makes a client of an edge, with a backoff of nothing."""

    def make(edge: FakeEdge, **options: Any) -> Client:
        settings: dict[str, Any] = {"token": "alice's token", "timing": QUICK, "jitter": lambda: 0.0} | options
        return Client(edge.url, **settings)

    return make


@pytest.fixture(params=["websocket", "sse", "poll"])
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)
