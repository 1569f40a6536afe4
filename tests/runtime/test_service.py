"""A process from its start to its end: signals, the drain's deadline, exit codes, what it answers meanwhile."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.runtime.conftest import Connect
from tests.support.nats import NatsServer
from tests.support.waiting import within
from whimbrel.protocol import subjects
from whimbrel.runtime import http

ROOT = Path(__file__).parents[2]


class Process:
    """A running service and the events that it logs."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.said = ""

    async def logged(self, event: str) -> dict[str, Any]:
        """Return the next line of ``event``."""
        assert self.process.stderr is not None
        async with asyncio.timeout(20):
            while line := (await self.process.stderr.readline()).decode():
                self.said += line
                if line.startswith("{") and (fields := json.loads(line))["event"] == event:
                    return dict(fields)
        raise AssertionError(f"{event} was not logged:\n{self.said}")

    async def exit_code(self) -> int:
        assert self.process.stderr is not None
        self.said += (await within(self.process.stderr.read())).decode()
        return await within(self.process.wait())


Start = Callable[..., Awaitable[Process]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Return a function that starts a process doing one of tests/runtime/process.py."""
    processes: list[Process] = []

    async def started(what: str, **settings: object) -> Process:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("WHIMBREL_", "OTEL_"))}
        settings = {"log_format": "json", "ops_port": 0, **settings}
        environment |= {f"WHIMBREL_EDGE_{name.upper()}": str(value) for name, value in settings.items()}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.runtime.process",
            what,
            cwd=ROOT,
            env=environment,
            stderr=asyncio.subprocess.PIPE,
        )
        processes.append(Process(process))
        return processes[-1]

    yield started
    for each in processes:
        if each.process.returncode is None:
            each.process.kill()
        await each.exit_code()


async def get(port: int, path: str) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.get(f"http://127.0.0.1:{port}{path}")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_a_service_cleanly(start: Start, server: NatsServer, number: signal.Signals) -> None:
    service = await start("serve", nats_url=server.url("edge"))
    await service.logged("process.ready")
    service.process.send_signal(number)
    assert (await service.logged("service.stopped"))["clean"] is True
    assert await service.exit_code() == 0


async def test_a_service_tells_its_health_and_its_state(start: Start, server: NatsServer, connect: Connect) -> None:
    service = await start("serve", nats_url=server.url("edge"), instance="edge-7")
    port = (await service.logged("service.started"))["ops_port"]
    await service.logged("process.ready")
    assert (await get(port, "/live")).status_code == 200
    assert (await get(port, "/ready")).json() == {"ready": True, "reasons": []}
    assert 'whimbrel_bus_connected{purpose="main"} 1' in (await get(port, "/metrics")).text
    router = await connect("router")
    status = json.loads((await router.request(subjects.STATUS, b"", timeout=5)).payload)
    assert (status["service"], status["instance"], status["ready"]) == ("edge", "edge-7", True)
    assert (status["pid"], status["detail"]) == (service.process.pid, {"connected": True})


async def test_an_outage_of_the_bus_takes_readiness_but_not_life(start: Start, server: NatsServer) -> None:
    service = await start("serve", nats_url=server.url("edge"))
    port = (await service.logged("service.started"))["ops_port"]
    await service.logged("process.ready")
    server.kill()
    await service.logged("bus.disconnected")
    assert (await get(port, "/live")).status_code == 200
    ready = await get(port, "/ready")
    assert (ready.status_code, ready.json()["reasons"]) == (503, ["bus: not connected to NATS"])
    server.start()
    await service.logged("bus.connected")
    assert (await get(port, "/ready")).status_code == 200


async def test_a_service_can_be_stopped_while_it_waits_for_the_bus(start: Start) -> None:
    service = await start("serve", nats_url="nats://127.0.0.1:1")
    port = (await service.logged("service.started"))["ops_port"]
    await service.logged("bus.error")
    assert (await get(port, "/ready")).json()["reasons"] == ["bus: connecting to NATS", "service: starting"]
    service.process.terminate()
    assert await service.exit_code() == 0


async def test_a_drain_ends_at_its_deadline(start: Start) -> None:
    service = await start("drain_for_ever", drain_s=0.1)
    await service.logged("process.ready")
    service.process.terminate()
    await service.logged("service.draining")
    await service.logged("service.drain_expired")
    await service.logged("process.cancelled")
    assert (await service.logged("service.stopped"))["clean"] is False
    assert await service.exit_code() == 0


async def test_who_drains_is_not_ready(start: Start) -> None:
    service = await start("drain_for_ever", drain_s=60)
    port = (await service.logged("service.started"))["ops_port"]
    await service.logged("process.ready")
    service.process.terminate()
    await service.logged("service.draining")
    assert (await get(port, "/ready")).json() == {"ready": False, "reasons": ["service: draining"]}


async def test_a_second_signal_does_not_wait_for_the_drain(start: Start) -> None:
    service = await start("drain_for_ever", drain_s=60)
    await service.logged("process.ready")
    service.process.terminate()
    await service.logged("service.draining")
    service.process.terminate()
    await service.logged("process.cancelled")
    assert await service.exit_code() == 0


async def test_a_fault_is_logged_and_told_by_the_exit_code(start: Start) -> None:
    service = await start("fail")
    assert "LookupError: of the test" in (await service.logged("service.failed"))["error"]
    assert await service.exit_code() == 1


async def test_a_service_that_cannot_start_says_so_in_one_sentence(start: Start) -> None:
    service = await start("refuse", log_level="error")
    assert await service.exit_code() == 2
    assert service.said == "whimbrel-edge: the file of keys does not exist.\n"


async def test_a_taken_ops_port_is_said_in_one_sentence(start: Start) -> None:
    with http.bind("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        service = await start("serve", ops_port=port)
        assert await service.exit_code() == 2
    assert service.said == (
        f"whimbrel-edge: cannot listen on 127.0.0.1:{port}: "
        "another program listens there; stop it or choose another port.\n"
    )


async def test_a_service_that_returns_by_itself_ends_the_process(start: Start) -> None:
    service = await start("end")
    assert (await service.logged("service.stopped"))["clean"] is True
    assert await service.exit_code() == 0
