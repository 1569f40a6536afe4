"""A short part of `make faults`: the same faults each time, and a checker that is not blind."""

import re
import subprocess
import sys

import pytest

from tests.faults import isolation
from tests.support.commandline import ROOT

PATIENCE_S = 240.0  # it takes about fifteen on an idle machine, and 100 at a load of 30 on two cores


def test_under_faults_nothing_is_lost_and_planted_bugs_are_found() -> None:
    if why := isolation.impossible():
        pytest.skip(f"faults need a network of their own: {why}")
    options = (
        "--nats-servers",
        "1",
        "--edges",
        "1",
        "--runs",
        "1",
        "--seed",
        "6",
        "--seconds",
        "1",
        "--pause",
        "0.1",
        "--events",
        "3",
    )
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults", *options, "--bugs", "drop", "--one-in", "50"],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    run, *_ = re.findall(r"(\d+) faults, (\d+) publications, .*: good", done.stdout)
    assert all(int(number) > 0 for number in run)
    assert re.search(r"^drop .*(never came|did not come before \d+)$", done.stdout, re.MULTILINE), done.stdout
