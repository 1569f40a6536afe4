"""A real nats-server on a free port, run by deploy/nats/nats.conf as in every other place.

In a conftest: ``from tests.support.nats import nats_server as nats_server``. A test then takes ``nats_server`` and
calls it; each call starts another server with a store of its own, ended with the test.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "deploy/nats/nats.conf"
BINARY = Path(sys.executable).parent / "nats-server"
USERS = ("system", "edge", "auth", "router", "notifier", "domain")
START_S = 20.0
PARTITIONS = 8  # deploy/nats/partitions.conf


class NatsServer:
    """One server: the store and, after the first start, the ports stay the same over restarts."""

    def __init__(self, folder: Path, config: Path = CONFIG) -> None:
        self.folder = folder
        self.config = config
        self.port = -1  # a free one, chosen by the server
        self.monitor_port = -1
        self._process: subprocess.Popen[bytes] | None = None
        self._log = folder / "nats.log"
        folder.mkdir(parents=True, exist_ok=True)

    def url(self, user: str) -> str:
        """Return the address with the credentials of ``user``."""
        return f"nats://{user}:{self.password(user)}@127.0.0.1:{self.port}"

    def password(self, user: str) -> str:
        return f"of-{user}-for-tests"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> "NatsServer":
        """Start and return when it listens."""
        self._log.unlink(missing_ok=True)
        environment = os.environ | {
            "WHIMBREL_NATS_NAME": "test",
            "WHIMBREL_NATS_HOST": "127.0.0.1",
            "WHIMBREL_NATS_PORT": str(self.port),
            "WHIMBREL_NATS_MONITOR_PORT": str(self.monitor_port),
            "WHIMBREL_NATS_STORE": str(self.folder / "store"),
            "WHIMBREL_NATS_MAX_STORE": "1GiB",
            "WHIMBREL_NATS_SYNC": "2m0s",
            **{f"WHIMBREL_NATS_{user.upper()}_PASSWORD": self.password(user) for user in USERS},
        }
        self._process = subprocess.Popen(
            [BINARY, "-c", self.config, "-l", self._log],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        deadline = time.monotonic() + START_S
        while "Server is ready" not in self.log():
            if self._process.poll() is not None:
                assert self._process.stderr is not None
                raise AssertionError(f"nats-server ended: {self._process.stderr.read().decode()} {self.log()}")
            assert time.monotonic() < deadline, f"nats-server did not start: {self.log()}"
            time.sleep(0.005)
        self.port = self._listening("client connections")
        self.monitor_port = self._listening("monitor")
        return self

    def log(self) -> str:
        return self._log.read_text() if self._log.exists() else ""

    def stop(self) -> None:
        """End it properly."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        self._gone()

    def kill(self) -> None:
        """End it without a chance to write anything."""
        self.signal(signal.SIGKILL)
        self._gone()

    def restart(self) -> None:
        """Kill it and start it on the same ports and store."""
        self.kill()
        self.start()

    def pause(self) -> None:
        """Let it stand still with its sockets open."""
        self.signal(signal.SIGSTOP)
        threads = Path(f"/proc/{self.pid}/task")
        deadline = time.monotonic() + START_S
        while any(
            thread.joinpath("stat").read_text().rpartition(")")[2].split()[0] != "T" for thread in threads.iterdir()
        ):
            assert time.monotonic() < deadline, "nats-server does not stand still"
            time.sleep(0.001)

    def resume(self) -> None:
        self.signal(signal.SIGCONT)

    def reload(self) -> None:
        self.signal(signal.SIGHUP)

    def signal(self, number: int) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def _gone(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.wait(timeout=START_S)
            assert process.stderr is not None
            process.stderr.close()

    def _listening(self, what: str) -> int:
        found = re.search(rf"(?:Listening for {what}|Starting http {what}) on \S*?:(\d+)", self.log())
        assert found is not None, self.log()
        return int(found[1])


@pytest.fixture
def nats_server(tmp_path: Path) -> Iterator[Callable[[], NatsServer]]:
    """Return a function that starts another server."""
    servers: list[NatsServer] = []

    def start() -> NatsServer:
        server = NatsServer(tmp_path / f"nats-{len(servers)}")
        servers.append(server)
        return server.start()

    yield start
    for server in servers:
        server.resume()
        server.kill()
