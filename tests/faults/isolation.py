"""A network and mounts of our own: nothing that is done there touches the rest of the machine, and all of it goes with
the process.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.faults.schedule import Fault

MARK: Final = "WHIMBREL_FAULTS_ISOLATED"
TOOLS: Final = ("unshare", "ip", "iptables", "mount", "ss")
LOST: Final = 0.2  # of the packets: a fifth, so that some are lost several times in a row
DISK_MIB: Final = 256
CHUNK: Final = bytes(1 << 20)

Rule = tuple[str, ...]


def impossible() -> str:
    """Return why there can be no isolation here; empty where there is or can be."""
    if MARK in os.environ:
        return ""
    if missing := [tool for tool in TOOLS if shutil.which(tool) is None]:
        return f"missing: {', '.join(missing)}"
    done = subprocess.run([*_unshare(), "true"], check=False, capture_output=True, text=True, timeout=10)
    return done.stderr.strip()


def enter(module: str, arguments: Sequence[str]) -> None:
    """Begin ``module`` anew in isolation; return where we are there already."""
    if MARK in os.environ:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True, timeout=10)
        return
    command = [*_unshare(), sys.executable, "-m", module, *arguments]
    os.execvpe(command[0], command, {**os.environ, MARK: "1"})


def _unshare() -> list[str]:
    return ["unshare", "--net", "--mount", *(() if os.geteuid() == 0 else ("--map-root-user",))]


@contextmanager
def disk(folder: Path) -> Iterator[None]:
    """Give ``folder`` a small disk of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "whimbrel", folder], check=True, timeout=10)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=False, timeout=10)


def fill(folder: Path) -> Path:
    """Leave no byte free on the disk of ``folder``; return the file to delete when it is over."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(CHUNK):
                pass
        except OSError:
            pass  # full: that is what we are here for
    return filler


def between(address: str) -> list[Rule]:
    """Match the packets of a party that speaks from ``address``."""
    return [("-s", address), ("-d", address)]


def at(port: int) -> list[Rule]:
    """Match the packets from and to a port."""
    return [("-p", "tcp", "--sport", str(port)), ("-p", "tcp", "--dport", str(port))]


def around(pid: int, port: int, others: Sequence[int]) -> list[Rule]:
    """Match what a server of NATS, listening on ``port``, says to its peers, which listen on ``others``.

    Who began a connection decides which end has the known port, so those that it began are looked up, and nobody may
    begin one meanwhile.
    """
    filters = " or ".join(f"dport = :{other}" for other in others)
    shown = subprocess.run(["ss", "-Htnp", f"( {filters} )"], check=True, capture_output=True, text=True, timeout=10)
    own = [line.split()[3].rpartition(":")[2] for line in shown.stdout.splitlines() if f"pid={pid}," in line]
    begun = [("-p", "tcp", "--dport", str(other), "--syn") for other in others]
    return [*at(port), *(rule for each in own for rule in at(int(each))), *begun]


class Rules:
    """What is done to the packets that ``matching`` match, until it is lifted."""

    def __init__(self, fault: Fault, matching: Sequence[Rule]) -> None:
        self._rules = [(*match, *_TO_DO[fault]) for match in matching]

    def impose(self) -> None:
        for rule in self._rules:
            _iptables("-A", rule)

    def lift(self) -> None:
        for rule in self._rules:
            _iptables("-D", rule)


_RANDOMLY: Final = ("-m", "statistic", "--mode", "random", "--probability", str(LOST))
_TO_DO: Final[dict[Fault, Rule]] = {
    Fault.CUT: ("-p", "tcp", "-j", "REJECT", "--reject-with", "tcp-reset"),
    Fault.SILENCE: ("-j", "DROP"),
    Fault.LOSS: (*_RANDOMLY, "-j", "DROP"),
}


def _iptables(what: str, rule: Rule) -> None:
    subprocess.run(["iptables", "-w", what, "INPUT", *rule], check=True, capture_output=True, timeout=10)


def end(pid: int) -> None:
    """Kill a process that may be gone."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
