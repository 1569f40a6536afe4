"""Every part of the benchmark runs, here with a handful of clients."""

from collections.abc import AsyncIterator, Mapping
from types import ModuleType

import pytest
import pytest_asyncio

from bench import __main__ as command
from bench.installation import Installation
from bench.machine import Machine
from bench.parts import (
    connects,
    fanout,
    flatness,
    growth,
    idle,
    latency,
    polling,
    recovery,
    resumes,
    streams,
    throughput,
)
from bench.stand import Stand

FEW: Mapping[ModuleType, Mapping[str, object]] = {
    fanout: {"SUBSCRIBERS": 8, "SECONDS": 0.2, "UNICASTS": {40: 75}, "FLOOD": 30, "FLOOD_S": {}},
    idle: {"CLIENTS": 8, "NAIVE_CLIENTS": 4, "WARM": 2, "PING_S": 0.2},
    connects: {"CLIENTS": 4, "NAIVE_CLIENTS": 2, "LINGER_S": 0},
    recovery: {"CLIENTS": 4, "MISSED": 5},
    latency: {"CLIENTS": 4, "RATE": 100.0, "SLOWER": (50.0, 50.0), "SECONDS": 0.2, "PEERS": ()},
    polling: {"CLIENTS": 4, "SECONDS": 0.2},
    streams: {"CLIENTS": 4, "SECONDS": 0.2},
    throughput: {"EVENTS": 40, "CHANNELS": 4, "BULK": 6, "MEMBERS": 4},
    resumes: {"CLIENTS": 4, "SHARED_BY": 2},
    growth: {"STORED": (10, 40), "INBOXES": (2, 8), "CLIENTS": 2, "RATE": 100.0, "SECONDS": 0.2},
    flatness: {
        "SUBSCRIBERS": (2, 4),
        "CHANNELS": (1, 10),
        "SECONDS": 0.2,
        "DELIVERIES_PER_S": 100,
        "PUBLICATIONS_PER_S": 20,
        "AUDIENCE": 2,
        "GROUPS": 4,
    },
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stand(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stand]:
    one = await Stand.start(Machine.here(), tmp_path_factory.mktemp("bench"), 1)
    yield one
    await one.stop()


async def _keep_the_edge(self: Installation) -> None:
    """Spare the seconds that a new one takes: nothing is compared here."""


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("part", command.PARTS)
async def test_a_part_measures_whimbrel_beside_the_others(
    stand: Stand, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Installation, "renew_edge", _keep_the_edge)
    if part in ("durable", "replicated"):  # nor does it need an installation of its own here

        async def the_same(*_: object, **__: object) -> Installation:
            return stand.whimbrel

        monkeypatch.setattr(Installation, "start", the_same)
        monkeypatch.setattr(Installation, "stop", _keep_the_edge)
    for module, sizes in FEW.items():
        for name, size in sizes.items():
            monkeypatch.setattr(module, name, size)
    rows = await command.PARTS[part](stand)
    assert rows
    for row in rows:
        assert row.figures["whimbrel"].median > 0, row.name
