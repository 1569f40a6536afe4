"""``python -m bench``: what Whimbrel costs on this machine, beside the kernel's floor and a naive server."""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

import uvloop

from bench.machine import Machine
from bench.parts import connects, fanout, idle, latency, polling, recovery
from bench.program import Broken
from bench.report import Row, record, table
from bench.stand import Stand

PARTS: Final[Mapping[str, Callable[[Stand], Awaitable[list[Row]]]]] = {
    "fanout": fanout.measure,
    "idle": idle.measure,
    "connects": connects.measure,
    "recovery": recovery.measure,
    "latency": latency.measure,
    "polling": polling.measure,
}


def main() -> int:
    """Measure, and print what was found; the exit code is 1 where something broke."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--parts", default=",".join(PARTS), help="which, comma separated [default: %(default)s]")
    parser.add_argument("--rounds", type=int, default=3, help="of each measurement [default: %(default)s]")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    arguments = parser.parse_args()
    parts = arguments.parts.split(",")
    if unknown := set(parts) - PARTS.keys():
        parser.error(f"unknown parts: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    if arguments.rounds < 1:
        parser.error("at least one round")
    try:
        return uvloop.run(_measure(parts, rounds=arguments.rounds, as_json=arguments.json))
    except Broken as fault:
        print(f"bench: {fault}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: stopped; no figures", file=sys.stderr)
        return 130


async def _measure(parts: list[str], *, rounds: int, as_json: bool) -> int:
    machine, began, rows = Machine.here(), time.monotonic(), list[Row]()
    print(machine, file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="whimbrel-bench-") as folder:
        stand = await Stand.start(machine, Path(folder), rounds)
        try:
            for part in parts:
                rows += await PARTS[part](stand)
        finally:
            await stand.stop()
    seconds = time.monotonic() - began
    if as_json:
        print(json.dumps(record(machine, rows, rounds=rounds, seconds=seconds), ensure_ascii=False, indent=1))
    else:
        print("\n".join(["", str(machine), "", *table(rows)]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
