"""The real thing: `whimbrel dev` on free ports with a store of its own, as every developer runs it.

In a conftest: ``from tests.support.dev import development as development, start_development as start_development``.
``development`` is one installation for all tests of the folder; ``start_development()`` starts one for a single test,
with options. Both end with everything they started.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from tests.support.commandline import ROOT, whimbrel

WHIMBREL: Final = Path(sys.executable).with_name("whimbrel")
START_S: Final = 60.0
STOP_S: Final = 20.0


class Development:
    """One `whimbrel dev`. The addresses are those of dev.json, read anew each time: a restarted child has a new pid."""

    def __init__(self, folder: Path, *options: str, **environment: str) -> None:
        self.store = folder / "store"
        self.output = folder / "dev.out"
        self._command = [str(WHIMBREL), "dev", "--ports", "0", "--store", str(self.store), "--json", *options]
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)

    def start(self, patience_s: float = START_S) -> "Development":
        """Start and return when everything is ready."""
        with self.output.open("wb") as output:
            self._process = subprocess.Popen(
                self._command,
                env=os.environ | self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
            )
        self.until(lambda: bool(self.events("ready")), "everything is ready", patience_s)
        return self

    def wait(self) -> int:
        """Wait until it ends by itself; return the exit code."""
        assert self._process is not None
        return self._process.wait(timeout=STOP_S)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End everything; return the exit code."""
        assert self._process is not None
        self._process.send_signal(number)
        return self._process.wait(timeout=STOP_S)

    @property
    def _dev_file(self) -> Path:
        return self.store / "dev.json"

    @property
    def running(self) -> dict[str, Any]:
        """What dev.json says now."""
        value: dict[str, Any] = json.loads(self._dev_file.read_text())
        return value

    @property
    def edge(self) -> str:
        return str(self.running["edge"])

    @property
    def auth(self) -> str:
        return str(self.running["auth"])

    @property
    def router(self) -> str:
        return str(self.running["router"])

    @property
    def nats(self) -> str:
        """With the credentials of a domain team."""
        return str(self.running["nats"])

    @property
    def service_key(self) -> str:
        return str(self.running["service_key"])

    @property
    def pid(self) -> int:
        """Of `whimbrel dev` itself."""
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def log(self, name: str) -> str:
        """What a child has written."""
        return (self.store / "logs" / f"{name}.log").read_text()

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> int:
        """Send a signal to a child (edge, auth, router, notifier, nats); return the pid that it had."""
        pid = int(self.running["pids"][name])
        os.kill(pid, number)
        return pid

    def until_restarted(self, name: str, old_pid: int) -> None:
        """Wait until `whimbrel dev` has started the child again and it is ready."""
        self.until(lambda: self.events("part", name)[-1]["pid"] != old_pid, f"{name} is ready again", START_S)

    def events(self, event: str, part: str | None = None) -> list[dict[str, Any]]:
        """What it has said so far: `part`, `ready`, `died` and `warning`."""
        lines = self.output.read_text().splitlines()
        every = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]
        return [each for each in every if each.get("event") == event and part in (None, each.get("part"))]

    def until(self, so: Callable[[], bool], what: str, patience_s: float) -> None:
        """Wait until something is so, but not longer than `whimbrel dev` lives."""
        deadline = time.monotonic() + patience_s
        while not so():
            assert self.is_running, f"whimbrel dev ended before {what}:\n{self.output.read_text()}"
            assert time.monotonic() < deadline, f"not within {patience_s} s: {what}\n{self.output.read_text()}"
            time.sleep(0.02)

    def token(self, user: str, *, groups: tuple[str, ...] = (), ttl: int = 3600, **claims: Any) -> str:
        """Return an access token."""
        body = {"user": user, "groups": groups, "ttl": ttl, **claims}
        headers = {"Authorization": f"Bearer {self.service_key}"}
        answer = httpx.post(f"{self.auth}/v1/tokens", json=body, headers=headers, timeout=20, trust_env=False)
        return str(answer.raise_for_status().json()["access_token"])

    def whimbrel(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run another command of the command line against this installation."""
        return whimbrel(*arguments, "--store", str(self.store), check=check)


@pytest.fixture
def start_development(tmp_path: Path) -> Iterator[Callable[..., Development]]:
    """Return a function that starts another installation: ``start_development("--no-restart", WHIMBREL_…="…")``."""
    started: list[Development] = []

    def start(*options: str, **environment: str) -> Development:
        one = Development(tmp_path / f"development-{len(started)}", "--no-demo", *options, **environment)
        started.append(one)
        return one.start()

    yield start
    for one in started:
        _end(one)


@pytest.fixture(scope="session")
def development(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Development]:
    """One installation for all tests of a folder: to start one costs 4 s of CPU."""
    with running(tmp_path_factory.mktemp("development")) as one:
        yield one


@contextmanager
def running(folder: Path, *options: str, patience_s: float = START_S, **environment: str) -> Iterator[Development]:
    """Run one installation without the example, for fixtures of another scope."""
    one = Development(folder, "--no-demo", *options, **environment)
    try:
        yield one.start(patience_s)
    finally:
        _end(one)


def _end(one: Development) -> None:
    if one.is_running:
        try:
            one.stop()
        except subprocess.TimeoutExpired:
            one.stop(signal.SIGKILL)
