"""``python -m tests.browser.matrix``: every browser in every network, as a table; ``--write`` puts it into the docs."""

import argparse
import asyncio
import os
import re
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.browser.cells import CELLS, PING_S, PONG_S, Cell, Outcome, an_installation, play
from tests.browser.firefox import Firefox
from tests.browser.networks import CHROMIUM, FIREFOX, ROOT, Absent, Networks
from tests.browser.tabs import Browser, Chromium
from tests.edge.edges import Edge

PAGE: Final = ROOT / "docs/explanation/transports.md"
BEGIN: Final = "<!-- begin: python -m tests.browser.matrix --write -->\n"
END: Final = "<!-- end -->\n"
HEAD: Final = (
    *("network", "transport", "first event, ms", "… after a reload, ms"),
    *("gone from the edge, s", "caught up after, ms"),
)
WORDS: Final = {"websocket": "WebSocket", "sse": "event stream", "poll": "long-poll"}
NOTHING: Final = "–"

Results = Mapping[tuple[str, str], Sequence[Outcome]]
"""By title of the cell and name of the browser, one of each round."""


def rows(results: Results) -> list[list[str]]:
    """Return the cells of the table below its head."""
    return [[cell.title, WORDS[cell.transport], *_figures(cell, results)] for cell in CELLS]


def _figures(cell: Cell, results: Results) -> list[str]:
    each = [results.get((cell.title, name), ()) for name in (Chromium.name, Firefox.name)]
    return [
        _pair([_median([getattr(one, figure) for one in outcomes], digits) for outcomes in each])
        for figure, digits in (("first_ms", 0), ("again_ms", 0), ("gone_s", 1), ("back_ms", 0))
    ]


def _median(values: Sequence[float | None], digits: int) -> str:
    there = [value for value in values if value is not None]
    return f"{statistics.median(there):.{digits}f}" if there else NOTHING


def _pair(values: Sequence[str]) -> str:
    return NOTHING if set(values) == {NOTHING} else " / ".join(values)


def table(page: str) -> list[list[str]]:
    """Return the rows that a page has between the marks, without the head."""
    text = page.partition(BEGIN)[2].partition(END)[0]
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[word.strip() for word in line.strip("|").split("|")] for line in lines[2:]]


def section(results: Results, versions: Sequence[str], rounds: int) -> str:
    """Return what stands between the marks."""
    load, cores = os.getloadavg()[0], os.cpu_count()
    played = "one round" if rounds == 1 else f"medians of {rounds} rounds"
    said = (
        f"{' / '.join(versions)}; {played} on {cores} cores, load average {load:.1f}. "
        f"The edge's `ping` + `pong` were {PING_S} + {PONG_S} s here, 25 + 10 s by default."
    )
    lines = [HEAD, ["---"] * len(HEAD), *rows(results)]
    return "\n".join([said, "", *(f"| {' | '.join(line)} |" for line in lines)]) + "\n"


async def run(rounds: int, only: str) -> tuple[dict[tuple[str, str], list[Outcome]], list[str], bool]:
    """Go through all cells; return what they have shown, the browsers' versions, and whether all went well."""
    results: dict[tuple[str, str], list[Outcome]] = {}
    versions, good = [], True
    with tempfile.TemporaryDirectory() as folder:
        async with an_installation(Path(folder)) as installation:
            for browser in (Chromium(CHROMIUM.path()), Firefox(FIREFOX.path())):
                await browser.start()
                try:
                    versions.append(f"{browser.name} {browser.version}")
                    for cell in CELLS * rounds:
                        if re.search(only, f"{browser.name} {cell.title}"):
                            good = await _one(cell, browser, installation, results) and good
                finally:
                    await browser.stop()
    return results, versions, good


async def _one(
    cell: Cell, browser: Browser, installation: tuple[Edge, Networks], results: dict[tuple[str, str], list[Outcome]]
) -> bool:
    try:
        outcome = await play(cell, *installation, browser)
    except (AssertionError, TimeoutError) as error:
        print(f"{browser.name}, {cell.title}: {error!r}", file=sys.stderr)
        return False
    print(f"{browser.name}, {cell.title}: {outcome}", file=sys.stderr)
    results.setdefault((cell.title, browser.name), []).append(outcome)
    return True


def main() -> int:
    """Print the table; 1 where a cell failed, 2 where a program is missing."""
    parser = argparse.ArgumentParser(prog="python -m tests.browser.matrix", description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"put the table into {PAGE.relative_to(ROOT)}")
    parser.add_argument("--rounds", type=int, default=3, help="how often; the table shows medians")
    parser.add_argument("--only", default="", help="a pattern of “browser network”, e.g. 'Firefox.*squid'")
    asked = parser.parse_args()
    if asked.write and asked.only:
        parser.error("--write needs the whole table")
    try:
        results, versions, good = asyncio.run(run(asked.rounds, asked.only))
    except Absent as absent:
        print(absent, file=sys.stderr)
        return 2
    text = section(results, versions, asked.rounds)
    print(text)
    if good and asked.write:
        page = PAGE.read_text()
        before, _, rest = page.partition(BEGIN)
        PAGE.write_text(before + BEGIN + text + END + rest.partition(END)[2])
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
