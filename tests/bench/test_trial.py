"""A server that loses, repeats or drops gives an error, not figures."""

import os
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from bench import trial
from bench.baseline import Baseline
from bench.load import Load
from bench.meter import Meter
from bench.program import Broken
from bench.trial import connect_frame, tried
from tests.bench.conftest import minted
from tests.bench.server import Server, published


class Stub(Baseline):
    """A server of the tests, as one under measurement."""

    def __init__(self, port: int) -> None:
        self.name = "stub"
        self.port = port
        self.meter = Meter({"server": os.getpid()})
        self._mint = minted


@pytest.fixture
async def measured(
    load: Load, ending: AsyncExitStack, monkeypatch: pytest.MonkeyPatch
) -> Callable[[bytes | None], Awaitable[object]]:
    monkeypatch.setattr(trial, "PATIENCE_S", 0.2)
    server = Server()
    stub = Stub(await server.start(ending))
    await load.open(stub.port, [connect_frame("a token", {})])

    async def measure(frames: bytes | None) -> object:
        async def write() -> None:
            if frames is None:
                server.clients[0].close()
            else:
                server.clients[0].write(published(0) + frames)

        return await tried(stub, load, write(), publications=3)

    return measure


Measured = Callable[[bytes | None], Awaitable[object]]


async def test_who_delivers_everything_has_figures(measured: Measured) -> None:
    result = await measured(published(1, 2))
    assert isinstance(result, trial.Trial)
    assert result.us("server", 3) >= 0


@pytest.mark.parametrize(
    ("frames", "why"),
    [
        (published(1), "stub: 2 of 3 publications came"),
        (published(2, 3), "1 missing"),
        (published(1, 1, 2), "1 repeated"),
        (None, "1 clients lost the server closed the connection"),
    ],
    ids=["the last is lost", "one is lost", "one comes twice", "a client is dropped"],
)
async def test_who_loses_has_none(measured: Measured, frames: bytes | None, why: str) -> None:
    with pytest.raises(Broken, match=why):
        await measured(frames)
