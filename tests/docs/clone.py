"""A fresh clone: the repository as it stands, in a folder of its own, with nothing running in it yet."""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import httpx

from tests.docs.pages import ROOT, Block

PATIENCE_S: Final = 90.0  # a machine with much else to do starts six processes slowly
NOT_CLONED: Final = {".git", ".whimbrel", ".cache", ".hypothesis"}
SITE_PORT: Final = "8300"  # as the pages have it


class Clone:
    """What somebody who follows a page does: writes files, types commands, leaves some of them running.

    The ports that the pages name may be taken on this machine: free ones stand in for them. The example, which the
    pages leave for later, stays away: it costs as much as the rest.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._port = free_port()
        self.site = f"http://127.0.0.1:{self._port}"
        self._terminals: list[subprocess.Popen[bytes]] = []
        for path in ROOT.iterdir():
            if path.name not in NOT_CLONED:
                (folder / path.name).symlink_to(path)

    def do(self, block: Block) -> str:
        """Write the file; or run the commands, and return what they print; or leave running what ``stays``."""
        text = block.text.replace(SITE_PORT, str(self._port))
        text = text.replace('make run ARGS="', 'make run ARGS="--ports 0 --no-demo ')
        if block.is_file:
            path = self.folder / block.name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        elif block.name == "stays":
            self._leave_running(text)
        else:
            return self.run("bash", "-euc", text)
        return ""

    def run(self, *command: str, **environment: str) -> str:
        """Return what a command prints; it must succeed."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stderr}{done.stdout}"
        return done.stdout

    def _leave_running(self, text: str) -> None:
        with self._output(len(self._terminals)).open("wb") as output:
            self._terminals.append(
                subprocess.Popen(
                    ["bash", "-c", f"exec {text}"],
                    cwd=self.folder,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            )

    def _output(self, number: int) -> Path:
        return self.folder / f"terminal-{number}.out"

    @property
    def running(self) -> dict[str, Any]:
        """What dev.json says, once all is up."""
        where = self.folder / ".whimbrel" / "dev.json"
        self.until(where.is_file, "all is up")
        told: dict[str, Any] = json.loads(where.read_text())
        return told

    def token(self, user: str) -> str:
        """Return an access token."""
        where, key = self.running["auth"], self.running["service_key"]
        headers = {"authorization": f"Bearer {key}"}
        answer = httpx.post(f"{where}/v1/tokens", json={"user": user}, headers=headers, timeout=20, trust_env=False)
        return str(answer.raise_for_status().json()["access_token"])

    def answers(self) -> bool:
        """Tell whether the site on the port of the pages does."""
        try:
            return httpx.get(self.site, trust_env=False).is_success
        except httpx.TransportError:
            return False

    def until(self, so: Callable[[], bool], what: str) -> None:
        """Wait until something is so, but not longer than what was left running runs."""
        deadline = time.monotonic() + PATIENCE_S
        while not so():
            ended = [number for number, terminal in enumerate(self._terminals) if terminal.poll() is not None]
            assert not ended, f"it ended before {what}:\n{self._output(ended[0]).read_text()}"
            assert time.monotonic() < deadline, f"not within {PATIENCE_S:g} s: {what}"
            time.sleep(0.05)

    def close(self) -> None:
        """End what still runs, the last first."""
        for terminal in reversed(self._terminals):
            if terminal.poll() is None:
                os.killpg(terminal.pid, signal.SIGTERM)
            terminal.wait(timeout=20)


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
