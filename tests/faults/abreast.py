"""Several installations at the same time, each in a process and a network of its own.

A run waits most of its time, for elections, leases and clients that stay away; what one leaves idle another one uses.
"""

import argparse
import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.faults.outcomes import Totals, kept


async def abreast(arguments: argparse.Namespace, given: Sequence[str]) -> Totals:
    """Share runs and bugs out to ``arguments.abreast`` processes with the options ``given``; return what all had."""
    totals = Totals()
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        records = [Path(folder) / f"{number}.jsonl" for number in range(min(arguments.abreast, arguments.runs))]
        children = [
            await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.faults", *given, *own)
            for own in _shares(arguments, records)
        ]
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, _end, children)
        codes = [await child.wait() for child in children]
        for record in records:
            for outcome in kept(record):
                totals.add(outcome)
            if arguments.record and record.exists():
                with arguments.record.open("a") as lines:
                    lines.write(record.read_text())
    if any(codes) and totals.well(arguments.bugs):
        raise SystemExit(f"not all had their runs: exit codes {codes}")
    return totals


def _shares(arguments: argparse.Namespace, records: Sequence[Path]) -> Iterator[list[str]]:
    """Yield the options that give each its part; of an option that is given twice the last one counts."""
    first = arguments.seed
    for number, record in enumerate(records):
        runs = (arguments.runs + number) // len(records)
        bugs = arguments.bugs[number :: len(records)]
        part = ("--seed", str(first), "--runs", str(runs), "--bugs", *bugs)
        yield ["--abreast", "1", *part, "--record", str(record), "--summary", os.devnull]
        first += runs


def _end(children: Sequence[asyncio.subprocess.Process]) -> None:
    for child in children:
        if child.returncode is None:
            child.send_signal(signal.SIGTERM)
