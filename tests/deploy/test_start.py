"""The services start with the very environment that the manifests give them, and need nothing that the bus refuses."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from deploy.checks.rendered import Objects, workloads
from deploy.checks.settings import SERVICES, environment_of
from tests.support.nats import NatsServer

DEPLOY = Path(__file__).parents[2] / "deploy"
READY_S = 40.0


@pytest.fixture
def free_port() -> Iterator[Callable[[], int]]:
    """Return a function that returns a free port; it is given to nobody else while the test runs."""
    with ExitStack() as held:

        def hold() -> int:
            bound = held.enter_context(socket.socket())
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(("127.0.0.1", 0))
            return int(bound.getsockname()[1])

        yield hold


def environment(objects: Objects, service: str, server: NatsServer, keys: Path, ops_port: int) -> dict[str, str]:
    """Return the environment of ``service``'s pods, brought to this machine: addresses, ports, mounted files."""
    workload = next(item for item in workloads(objects) if item.name == service)
    prefix = f"WHIMBREL_{service.upper()}_"
    found = environment_of(workload.containers[-1])
    moved = {
        f"{prefix}NATS_URL": server.url(service),
        f"{prefix}OPS_PORT": str(ops_port),
        f"{prefix}DRAIN_S": "1",
    }
    if f"{prefix}HOST" in found:
        moved[f"{prefix}PORT"] = "0"
    files = {"keys.json": keys, "namespaces.yaml": DEPLOY / "config", "routes.yaml": DEPLOY / "config"}
    mounted = {
        name: str(files[Path(value).name] / Path(value).name)
        for name, value in found.items()
        if value.startswith("/etc/whimbrel/")
    }
    return {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ} | found | moved | mounted


def is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    server = NatsServer(tmp_path / "nats").start()
    yield server
    server.kill()


def test_all_services_become_ready_with_their_pods_environment(
    base: Objects, server: NatsServer, free_port: Callable[[], int], tmp_path: Path
) -> None:
    keys = subprocess.run([sys.executable, "-m", "whimbrel.auth", "keys"], capture_output=True, check=True).stdout
    (tmp_path / "keys.json").write_bytes(keys)
    running: dict[str, tuple[subprocess.Popen[bytes], int]] = {}
    try:
        for service in SERVICES:
            ops_port = free_port()
            own = environment(base, service, server, tmp_path, ops_port)
            with (tmp_path / f"{service}.log").open("wb") as log:
                command = [sys.executable, "-m", f"whimbrel.{service}"]
                process = subprocess.Popen(command, env=own, stdout=log, stderr=log, cwd=tmp_path)
            running[service] = (process, ops_port)
        deadline = time.monotonic() + READY_S
        waiting = set(running)
        while waiting:
            waiting -= {service for service in waiting if is_ready(running[service][1])}
            told = {service: (tmp_path / f"{service}.log").read_text()[-2_000:] for service in waiting}
            assert time.monotonic() < deadline, told
            assert all(running[service][0].poll() is None for service in waiting), told
            time.sleep(0.05)
    finally:
        for process, _ in running.values():
            process.terminate()
        codes = {service: process.wait(timeout=20) for service, (process, _) in running.items()}
    assert codes == dict.fromkeys(SERVICES, 0)
    assert [line for line in server.log().splitlines() if "Violation" in line] == []
