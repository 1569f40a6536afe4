"""A network of its own beside the machine's, in which packets can be lost."""

import ctypes
import os
import random
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pytest

_CLONE_NEWNET: Final = 0x40000000


class Island:
    """A network namespace behind a virtual cable; ``host`` is the machine's address as seen from there."""

    def __init__(self, name: str, host: str) -> None:
        self.name = name
        self.host = host

    def socket(self) -> socket.socket:
        """Return a TCP socket that lives there."""
        made: list[socket.socket] = []

        def make() -> None:
            with open(f"/run/netns/{self.name}") as space:
                if ctypes.CDLL(None, use_errno=True).setns(space.fileno(), _CLONE_NEWNET) == 0:
                    made.append(socket.socket())

        thread = threading.Thread(target=make)  # a thread of its own: it never comes back from there
        thread.start()
        thread.join()
        if not made:
            pytest.skip("this process may not enter a network namespace")
        return made[0]

    def lose_everything(self) -> None:
        """Drop every packet from now on: no FIN, no RST, no ICMP tells anybody."""
        for chain in ("INPUT", "OUTPUT"):
            _run("ip", "netns", "exec", self.name, "iptables", "-I", chain, "-j", "DROP")


@contextmanager
def island() -> Iterator[Island]:
    """Make an island; skips the test where that is not allowed or a tool is missing."""
    for tool in ("ip", "iptables"):
        if shutil.which(tool) is None:
            pytest.skip(f"losing packets needs `{tool}`")
    if os.geteuid() != 0:
        pytest.skip("losing packets needs root, for a network namespace")
    number = random.randrange(1 << 14)
    name, cable = f"island{number}", f"isl{number}"
    # 198.18.0.0/15 is for such tests (RFC 2544); each island has four addresses of it.
    host, here = (f"198.18.{number >> 6}.{(number & 63) * 4 + each}" for each in (1, 2))
    try:
        _run("ip", "netns", "add", name)
        _run("ip", "link", "add", f"{cable}a", "type", "veth", "peer", "name", f"{cable}b", "netns", name)
        _run("ip", "addr", "add", f"{host}/30", "dev", f"{cable}a")
        _run("ip", "link", "set", f"{cable}a", "up")
        _run("ip", "-n", name, "addr", "add", f"{here}/30", "dev", f"{cable}b")
        _run("ip", "-n", name, "link", "set", f"{cable}b", "up")
        yield Island(name, host)
    finally:
        subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True, timeout=10)
        subprocess.run(["ip", "link", "del", f"{cable}a"], check=False, capture_output=True, timeout=10)


def _run(*command: str) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=10)
    if done.returncode != 0:
        pytest.skip(f"this machine does not let us lose packets: {' '.join(command)}: {done.stderr.strip()}")
