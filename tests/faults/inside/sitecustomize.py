"""Run by Python at the start of each process whose PYTHONPATH names this folder: what a test does to a service from
within. Nothing of it is in the product.

A service speaks to NATS from an address of its own, so that the packets of one party can be dropped. Its time of day is
off, and one of its bugs is awake, as the switches of its part say: a small file that the test writes at any time.
"""

import importlib
import mmap
import os
import struct
import time
from pathlib import Path
from typing import Any, Final

SERVICES: Final = ("edge", "auth", "router", "notifier")
ADDRESSES: Final = {"edge": 1, "edge-2": 2, "auth": 3, "router": 4, "notifier": 5, "notifier-2": 6}
NATS_PORTS: Final = range(4222, 4300)
FOLDER: Final = "WHIMBREL_FAULTS_SWITCHES"
ONE_IN: Final = "WHIMBREL_FAULTS_ONE_IN"
_FORM: Final = struct.Struct("d32s")


class Switches:
    """What is done to one part from within: its clock is off by so many seconds, and a bug is awake."""

    def __init__(self, folder: Path, name: str) -> None:
        with (folder / name).open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), _FORM.size)

    @classmethod
    def make(cls, folder: Path, name: str) -> "Switches":
        """Make the file, with everything as it should be."""
        (folder / name).write_bytes(_FORM.pack(0.0, b""))
        return cls(folder, name)

    @property
    def off_s(self) -> float:
        return float(_FORM.unpack(self._map)[0])

    @off_s.setter
    def off_s(self, value: float) -> None:
        self._map[:] = _FORM.pack(value, self.bug.encode())

    @property
    def bug(self) -> str:
        return bytes(_FORM.unpack(self._map)[1]).rstrip(b"\0").decode()

    @bug.setter
    def bug(self, name: str) -> None:
        self._map[:] = _FORM.pack(self.off_s, name.encode())


def part() -> tuple[str, str]:
    """Return which service this process is, and which of its instances (edge, edge-2); both empty for none."""
    for service in SERVICES:
        instance = os.environ.get(f"WHIMBREL_{service.upper()}_INSTANCE")
        if instance is not None:
            return service, instance
    return "", ""


def address(name: str) -> str:
    """Return whence a part speaks to NATS."""
    return f"127.0.1.{ADDRESSES[name]}"


def speak_from(own: str) -> None:
    """Have connections to NATS come from ``own``."""
    import uvloop

    connect = uvloop.Loop.create_connection

    async def from_own(self: Any, factory: Any, host: Any = None, port: Any = None, **options: Any) -> Any:
        if port in NATS_PORTS:
            options["local_addr"] = (own, 0)
        return await connect(self, factory, host, port, **options)

    uvloop.Loop.create_connection = from_own  # type: ignore[method-assign, assignment]


def go_by(switches: Switches) -> None:
    """Have the time of day be what the switches say."""
    right = time.time
    time.time = lambda: right() + switches.off_s


def prepare() -> None:
    """Do all that the environment asks for."""
    service, name = part()
    if not service or FOLDER not in os.environ:
        return
    switches = Switches(Path(os.environ[FOLDER]), name)
    speak_from(address(name))
    go_by(switches)
    bugs = importlib.import_module("bugs")  # beside this file, which is on the path of a service
    bugs.plant(service, lambda: switches.bug, int(os.environ[ONE_IN]))


prepare()
