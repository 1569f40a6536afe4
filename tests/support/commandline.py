"""The command line as a person uses it, without a process for each command: nearly all of that would be Python's start.

That the program itself starts is shown where somebody listens (``tests/cli``), and by every `whimbrel dev`.
"""

import contextlib
import io
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from unittest import mock

from whimbrel.cli.__main__ import main

ROOT: Final = Path(__file__).parents[2]
TIMEOUT_S: Final = 60.0


def whimbrel(
    *arguments: str, check: bool = True, folder: Path = ROOT, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command in ``folder``, with ``environment`` besides our own; raises what it does not handle."""
    out, err = io.StringIO(), io.StringIO()
    ends: list[int] = []
    faults: list[BaseException] = []

    def run() -> None:
        try:
            main(list(arguments), prog_name="whimbrel")
        except SystemExit as end:
            ends.append(end.code if isinstance(end.code, int) else int(bool(end.code)))
        except BaseException as fault:
            faults.append(fault)

    with (
        contextlib.chdir(folder),
        mock.patch.dict(os.environ, environment or {}),
        mock.patch.object(sys, "argv", ["whimbrel", *arguments]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        # In a thread: a test may have a loop of its own, and commands run theirs.
        thread = threading.Thread(target=run, name=f"whimbrel {arguments[0]}", daemon=True)
        thread.start()
        thread.join(TIMEOUT_S)
    assert not thread.is_alive(), f"`whimbrel {' '.join(arguments)}` does not end: {out.getvalue()}{err.getvalue()}"
    if faults:
        raise faults[0]
    done = subprocess.CompletedProcess(arguments, ends[0], out.getvalue(), err.getvalue())
    assert not check or done.returncode == 0, f"exit code {done.returncode}: {done.stderr}{done.stdout}"
    return done
