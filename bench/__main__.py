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

from bench.machine import Company, Machine, go_ahead
from bench.parts import (
    connects,
    fanout,
    flatness,
    growth,
    idle,
    latency,
    polling,
    recovery,
    resumes,
    streams,
    throughput,
)
from bench.peers import PEERS
from bench.program import Broken
from bench.report import Row
from bench.run import Run
from bench.stand import Stand

PARTS: Final[Mapping[str, Callable[[Stand], Awaitable[list[Row]]]]] = {
    "fanout": fanout.measure,
    "idle": idle.measure,
    "heartbeats": idle.heartbeats,
    "connects": connects.measure,
    "recovery": recovery.measure,
    "latency": latency.measure,
    "durable": latency.durable,
    "replicated": latency.replicated,
    "throughput": throughput.measure,
    "polling": polling.measure,
    "streams": streams.measure,
    "flatness": flatness.measure,
    "resumes": resumes.measure,
    "growth": growth.measure,
}
LONG: Final = ("flatness", "resumes", "growth", "replicated")  # each takes as long as half of the others together
USUAL: Final = tuple(part for part in PARTS if part not in LONG)


def main() -> int:
    """Measure, and print what was found; the exit code is 1 where something broke."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--parts", default=",".join(USUAL), help="which, comma separated [default: %(default)s]")
    parser.add_argument("--rounds", type=int, default=3, help="of each measurement [default: %(default)s]")
    parser.add_argument(
        "--peers",
        nargs="?",
        const=",".join(PEERS),
        default="",
        help=f"measure these too, installed when they are not there; without names: {', '.join(PEERS)}",
    )
    parser.add_argument(
        "--ahead",
        action="store_true",
        help="run before all other processes (SCHED_RR, needs root): for latencies on a machine that others use",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    arguments = parser.parse_args()
    parts = arguments.parts.split(",")
    if unknown := set(parts) - PARTS.keys():
        parser.error(f"unknown parts: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    peers = [name for name in arguments.peers.split(",") if name]
    if unknown := set(peers) - PEERS.keys():
        parser.error(f"unknown peers: {', '.join(sorted(unknown))}; there are {', '.join(PEERS)}")
    if arguments.rounds < 1:
        parser.error("at least one round")
    if arguments.ahead:
        try:
            go_ahead()
        except PermissionError:
            parser.error("--ahead needs root, or CAP_SYS_NICE")
    try:
        return uvloop.run(_measure(parts, peers, arguments))
    except Broken as fault:
        print(f"bench: {fault}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: stopped; no figures", file=sys.stderr)
        return 130


async def _measure(parts: list[str], peers: list[str], arguments: argparse.Namespace) -> int:
    rounds = arguments.rounds
    machine, company, began, rows = Machine.here(), Company(), time.monotonic(), list[Row]()
    broken: dict[str, str] = {}
    print(machine, file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="whimbrel-bench-") as folder:
        stand = await Stand.start(machine, Path(folder), rounds, peers)
        try:
            for part in parts:
                try:
                    rows += await PARTS[part](stand)
                except Broken as fault:
                    broken[part] = str(fault)
                    print(f"bench: no figures of {part}: {fault}", file=sys.stderr)
        finally:
            await stand.stop()
    versions = {name: server.version for name, server in stand.peers.items()}
    run = Run(machine, rows, rounds, time.monotonic() - began, company.cores(), versions, broken, arguments.ahead)
    print(json.dumps(run.record(), ensure_ascii=False, indent=1) if arguments.json else run)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
