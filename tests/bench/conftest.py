"""Load processes and servers of the benchmark, ended with the test."""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import jwt
import pytest

from bench.baseline import Baseline
from bench.load import Load

SECRET = "a secret of the tests, of 32 bytes"


@pytest.fixture
async def ending() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
async def load(ending: AsyncExitStack, tmp_path: Path) -> Load:
    one = await Load.start(tmp_path)
    ending.push_async_callback(one.stop)
    return one


@pytest.fixture(params=["floor", "naive"])
async def baseline(request: pytest.FixtureRequest, ending: AsyncExitStack) -> Baseline:
    one = await (Baseline.floor(minted) if request.param == "floor" else Baseline.naive(minted, SECRET))
    ending.push_async_callback(one.stop)
    return one


def minted(user: str) -> str:
    """Return a user's token."""
    return jwt.encode({"sub": user, "aud": "whimbrel", "exp": time.time() + 600}, SECRET, "HS256")


@pytest.fixture
def token() -> str:
    return minted("alice")
