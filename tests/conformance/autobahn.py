"""The Autobahn test suite, which knows no Python but 2.7, in a Debian 11 of its own under ``.cache/autobahn``."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2] / ".cache" / "autobahn"
PACKAGES: Final = "python2.7,python2.7-dev,gcc,libc6-dev,libffi-dev,libssl-dev,ca-certificates"
BOOT: Final = ("pip==20.3.4", "setuptools==44.1.1", "wheel==0.37.1")  # the last of each for Python 2.7
SUITE: Final = "autobahntestsuite==25.10.1"
CONSTRAINTS: Final = "wsaccel==0.6.2\nujson==2.0.3\n"  # likewise
CERTIFICATES: Final = "/etc/ssl/certs/ca-certificates.crt"
BUILD_S: Final = 600
RUN_S: Final = 900


class Unable(Exception):
    """This machine cannot run the suite, and why."""


def install() -> None:
    """Build the chroot unless it is there. Raises Unable, and CalledProcessError with the output of what failed."""
    if (ROOT / "built").exists():
        return
    if os.geteuid() != 0:
        raise Unable("it runs in a chroot, which only root may enter: sudo make conformance")
    if shutil.which("mmdebstrap") is None:
        raise Unable("it needs mmdebstrap: apt-get install mmdebstrap")
    print("Building a Debian 11 with Python 2.7 in .cache/autobahn (500 MB, once) ...", flush=True)
    shutil.rmtree(ROOT, ignore_errors=True)
    ROOT.parent.mkdir(exist_ok=True)
    _run("mmdebstrap", "--variant=minbase", f"--include={PACKAGES}", "bullseye", str(ROOT))
    for path in (CERTIFICATES, "/etc/resolv.conf"):  # this machine's way to the package index
        if Path(path).exists():
            shutil.copyfile(path, f"{ROOT}{path}")
    wheels = ROOT / "wheels"
    _run(
        sys.base_prefix + "/bin/python3", "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(wheels), *BOOT
    )
    (ROOT / "constraints.txt").write_text(CONSTRAINTS)
    print("Installing the test suite into it ...", flush=True)
    pip = "/wheels/pip-20.3.4-py2.py3-none-any.whl/pip"
    _inside("python2.7", pip, "install", "--quiet", "--no-index", "--find-links", "/wheels", *BOOT)
    _inside("python2.7", "-m", "pip", "install", "--quiet", "--constraint", "/constraints.txt", SUITE)
    (ROOT / "built").touch()


def run(url: str, subprotocol: str, cases: list[str]) -> Iterator[str]:
    """Run the fuzzing client against ``url``; yield the number of each case as it begins."""
    out = ROOT / "out"
    shutil.rmtree(out, ignore_errors=True)
    server = {"agent": "edge", "url": url, "protocols": [subprotocol]}
    spec = {"outdir": "/out", "servers": [server], "cases": cases, "exclude-cases": []}
    (ROOT / "spec.json").write_text(json.dumps({**spec, "exclude-agent-cases": {}}))
    command = [*_CHROOT, "timeout", str(RUN_S), "wstest", "-m", "fuzzingclient", "-s", "/spec.json"]
    with subprocess.Popen(
        command, env=_ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as suite:
        assert suite.stdout is not None
        for line in suite.stdout:
            if line.startswith("Running test case ID"):
                yield line.split()[4]
    if suite.returncode != 0:
        raise subprocess.CalledProcessError(suite.returncode, "wstest")


def results() -> Mapping[str, Mapping[str, Any]]:
    """Return the verdicts of the last run: by case, with `behavior` and `behaviorClose`."""
    found: dict[str, dict[str, Any]] = json.loads((ROOT / "out" / "index.json").read_text())["edge"]
    return found


_CHROOT: Final = ["chroot", str(ROOT)]
_ENVIRONMENT: Final = {"PATH": os.environ["PATH"], "LC_ALL": "C", "PIP_CERT": CERTIFICATES}


def _inside(*command: str) -> None:
    _run(*_CHROOT, *command)


def _run(*command: str) -> None:
    subprocess.run(
        command,
        check=True,
        env=_ENVIRONMENT,
        timeout=BUILD_S,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
