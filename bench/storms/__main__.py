"""``python -m bench.storms``: what clients notice when readers get stuck, edges leave, and edges die."""

import argparse
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import uvloop

from bench.machine import Machine
from bench.program import Broken
from bench.storms import crash, drain, slow
from bench.storms.fleet import Fleet
from bench.storms.herd import Herd
from bench.storms.verdict import Verdict, table

PARTS: Final = {
    "slow": "Stuck readers",
    "drain": "A rolling restart",
    "crash": "An edge is killed",
}


def main() -> int:
    """Raise the storms, and print what was found; the exit code is 1 where something that must hold did not."""
    parser = argparse.ArgumentParser(prog="python -m bench.storms", description=__doc__)
    parser.add_argument("--parts", default=",".join(PARTS), help="which, comma separated [default: %(default)s]")
    parser.add_argument("--scale", type=float, default=1.0, help="of the numbers of clients [default: %(default)s]")
    arguments = parser.parse_args()
    parts = arguments.parts.split(",")
    if unknown := set(parts) - PARTS.keys():
        parser.error(f"unknown parts: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    try:
        return uvloop.run(_measure(parts, arguments.scale))
    except Broken as fault:
        print(f"bench: {fault}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: stopped; no figures", file=sys.stderr)
        return 130


async def _measure(parts: list[str], scale: float) -> int:
    machine = Machine.here()
    print(f"{machine}\n")
    holds = True
    for part in parts:
        verdicts = await _storm(part, scale)
        print("\n".join([*table(PARTS[part], verdicts), ""]), flush=True)
        holds = holds and all(each.holds for each in verdicts)
    return 0 if holds else 1


async def _storm(part: str, scale: float) -> list[Verdict]:
    """Raise one storm over an installation of its own."""

    def scaled(clients: int) -> int:
        return max(30, int(clients * scale))

    settings = {"outbox_bytes": str(slow.OUTBOX_BYTES)} if part == "slow" else {"drain_s": f"{drain.DRAIN_S:g}"}
    async with AsyncExitStack() as ending:
        folder = Path(ending.enter_context(tempfile.TemporaryDirectory(prefix="whimbrel-storm-")))

        async def a_herd() -> Herd:
            herd = await Herd.start(folder)
            ending.push_async_callback(herd.stop)
            return herd

        herd = await a_herd()
        fleet = await Fleet.of(folder, 1 if part == "slow" else 3, **settings)
        ending.push_async_callback(fleet.stop)
        match part:
            case "slow":
                return await slow.measure(fleet, herd, healthy=scaled(5000), stuck=scaled(1000))
            case "drain":
                return await drain.measure(fleet, herd, clients=scaled(3000))
            case _:
                return await crash.measure(fleet, herd, await a_herd(), clients=scaled(3000))


if __name__ == "__main__":
    sys.exit(main())
