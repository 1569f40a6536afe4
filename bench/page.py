"""``python -m bench.page``: put the figures of the recorded runs into docs/explanation/performance.md, and its plot.

The runs are ``bench/results/*.json``, each made by ``python -m bench … --json``. With ``--check`` nothing is written:
the exit code is 1 where the page does not say what the runs found.
"""

import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from bench.plot import plot
from bench.program import ROOT
from bench.report import NAMES, shown_figure

RESULTS: Final = Path(__file__).parent / "results"
PAGE: Final = ROOT / "docs/explanation/performance.md"
PLOTS: Final = ("flatness", "growth")  # runs whose rows are points of curves
MARKED: Final = re.compile(r"(<!-- (\w+): by python -m bench\.page -->\n).*?(<!-- end -->)", re.DOTALL)

Record = Mapping[str, Any]


def main(arguments: Sequence[str]) -> int:
    """Write, or check, what is derived."""
    derived = {PAGE: page(PAGE.read_text())}
    derived |= {PAGE.with_name(f"{name}.svg"): plot(_run(name)["rows"]) for name in PLOTS}
    if "--check" in arguments:
        stale = [path.name for path, text in derived.items() if not path.exists() or path.read_text() != text]
        if stale:
            print(f"{', '.join(stale)}: not what bench/results says; run python -m bench.page", file=sys.stderr)
        return 1 if stale else 0
    for path, text in derived.items():
        path.write_text(text)
    return 0


def page(text: str) -> str:
    """Return the page with what stands between its marks made anew: a mark names a run."""
    return MARKED.sub(lambda mark: f"{mark[1]}\n{section(_run(mark[2]))}\n{mark[3]}", text)


def section(run: Record) -> str:
    """Return the machine, the table, and what goes beside its figures."""
    names = [name for name in NAMES if any(name in row["figures"] for row in run["rows"])]
    heads = ["What", "Goal", *(NAMES[name] for name in names)]
    lines = [_about(run), "", f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for row in run["rows"]:
        verdict = {True: "<br>met", False: "<br>**missed**", None: ""}[row["met"]]
        cells = [f"{row['name']}, {row['unit']}", f"{row['goal']}{verdict}", *(_cell(row, name) for name in names)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", *_besides(run["rows"])])


def _about(run: Record) -> str:
    machine, busy = run["machine"], "**BUSY** – " if run["busy"] else ""
    behind = ", behind us" if run.get("ahead") else ""
    peers = "".join(f", {NAMES[name]} {version}" for name, version in run["peers"].items())
    return (
        f"{busy}{machine['cores']} cores ({machine['processor']}), {machine['memory_gib']:g} GiB, "
        f"Linux {machine['kernel'].partition('-')[0]}, Python {machine['python']}{peers}; "
        f"load average {machine['load']:g} before, others took {run['others_cores']:g} cores meanwhile{behind}; "
        f"{run['rounds']} rounds, {run['seconds'] / 60:.0f} minutes."
    )


def _cell(row: Record, name: str) -> str:
    if name not in row["figures"]:
        return "–"
    figure = shown_figure(row["figures"][name]["rounds"])
    if name not in row["ratios"]:
        return f"**{figure}**"
    return f"{figure}<br>× {shown_figure([row['ratios'][name]['median']])}"


def _besides(rows: Sequence[Record]) -> list[str]:
    lines, above = [], ""
    for row in rows:
        above = row["name"] if not row["name"].startswith("…") else above
        if row["beside"]:
            name = row["name"] if row["name"] == above else f"{above} {row['name']}"
            each = "; ".join(f"{what} {shown_figure(found['rounds'])}" for what, found in row["beside"].items())
            lines.append(f"- {name}: {each}")
    if lines:
        lines = ["Beside Whimbrel's figure, in the unit of its row where no other is named:", "", *lines, ""]
    return lines


def _run(name: str) -> Record:
    run: Record = json.loads((RESULTS / f"{name}.json").read_text())
    return run


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
