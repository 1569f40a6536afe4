"""The directory in which `whimbrel dev` keeps what outlives a run, and where the others find what runs."""

import fcntl
import json
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self

from whimbrel.cli.exits import BadSetting, Failure
from whimbrel.cli.invocation import invocation
from whimbrel.cli.target import DEV_FILE
from whimbrel.protocol.versions import LAYOUT_VERSION

NATS_USERS: Final = ("system", "edge", "auth", "router", "notifier", "domain")  # of deploy/nats/nats.conf
KEYS_S: Final = 30.0
CLUSTERS: Final = (1, 3, 5)  # servers of NATS


class Store:
    """``root`` is made on first use. What is secret is readable by its owner alone."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.nats = root / "nats"
        self.logs = root / "logs"
        self.auth_keys = root / "auth-keys.json"
        self.dev_file = root / DEV_FILE
        self._secrets = root / "secrets.json"
        self._layout = root / "layout.json"

    def streams(self, servers: int, name: str) -> Path:
        """Return where server ``name`` of so many keeps its streams.

        One that was alone cannot take them into a cluster, nor back: each way of running has its own.
        """
        return self.nats if servers == 1 else self.root / f"nats-cluster-of-{servers}" / name

    @property
    def clusters(self) -> list[int]:
        """Of how many servers the clusters are that have streams here; 1 for the server alone."""
        return [servers for servers in CLUSTERS if self.streams(servers, "nats").exists()]

    @contextmanager
    def claimed(self, *, otherwise: str = "stop it") -> Iterator[Self]:
        """Make the directory and keep others off it.

        Raises Failure where another run has it, with ``otherwise`` as advice, or where it cannot be written.
        """
        try:
            self.logs.mkdir(parents=True, exist_ok=True)
            lock = (self.root / "lock").open("a+")
        except OSError as error:
            raise Failure(f"{self.root} cannot be used as a store: {error.strerror}; choose one by --store") from error
        with lock:  # the kernel lets go of it however we end
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Failure(self._who_has_it(), otherwise) from None
            self.withdraw()  # of a run that was killed: its children died with it
            yield self

    def _who_has_it(self) -> str:
        try:
            running = json.loads(self.dev_file.read_text())
            where = f" and serves {running['edge']}"
        except (OSError, ValueError, KeyError):
            where = ""
        return f"another `whimbrel dev` uses {self.root}{where}"

    def check_layout(self) -> None:
        """Refuse streams of another layout; a new store gets ours. Raises Failure."""
        if not self._layout.exists() and not self.clusters:
            self.stamp()
        made_by = _read(self._layout).get("layout") if self._layout.exists() else "unknown"
        if made_by != LAYOUT_VERSION:
            raise Failure(
                f"the store {self.root} was made by layout {made_by} and this is layout {LAYOUT_VERSION}",
                f"`{invocation('migrate', self.root)}` brings it here, or choose another by --store",
            )

    def stamp(self) -> None:
        """Note that the streams are of this version's layout."""
        _write(self._layout, {"layout": LAYOUT_VERSION})

    def secrets(self) -> Mapping[str, str]:
        """Return the service key and the NATS passwords, by name; what is missing is made."""
        known = _read(self._secrets) if self._secrets.exists() else {}
        names = ("service_key", *(f"nats_{user}" for user in NATS_USERS))
        # A letter first: nats-server takes a password of digits alone for a number.
        made = {name: known.get(name) or f"w{secrets.token_hex(16)}" for name in names}
        for name, secret in made.items():
            if not isinstance(secret, str) or not re.fullmatch(r"[A-Za-z][A-Za-z0-9]{15,}", secret):
                raise BadSetting(f"{self._secrets}: {name} is damaged; remove the file, new ones are made")
        if made != known:
            _write(self._secrets, made)
        return made

    def make_auth_keys(self) -> None:
        """Have the auth service make the keys that sign tokens, unless the store has them."""
        if self.auth_keys.exists():
            return
        made = subprocess.run(
            [sys.executable, "-m", "whimbrel.auth", "keys"], capture_output=True, text=True, timeout=KEYS_S, check=False
        )
        if made.returncode:
            why = made.stderr.strip().rpartition("\n")[2]
            raise Failure(f"`python -m whimbrel.auth keys` failed: {why}")
        _write_text(self.auth_keys, made.stdout)

    def announce(self, running: Mapping[str, Any]) -> None:
        """Tell tools what runs."""
        _write(self.dev_file, running)

    def withdraw(self) -> None:
        """Tell tools that nothing runs."""
        self.dev_file.unlink(missing_ok=True)


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise BadSetting(f"{path} is damaged ({error}); remove it") from error
    if not isinstance(value, dict):
        raise BadSetting(f"{path} is damaged; remove it")
    return value


def _write(path: Path, value: Mapping[str, Any]) -> None:
    _write_text(path, json.dumps(value, indent=1) + "\n")


def _write_text(path: Path, text: str) -> None:
    """Replace the file in one step: whoever reads sees the old one or the new one."""
    beside = path.with_name(f".{path.name}")
    with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    beside.replace(path)
