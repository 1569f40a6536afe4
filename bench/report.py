"""What a run found: a table for people, one JSON object for machines."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from bench.machine import Machine
from bench.meter import Spread

COLUMNS: Final = ("floor", "naive", "whimbrel")
HEADS: Final = ("WHAT", "GOAL", "FLOOR", "NAIVE", "WHIMBREL")


@dataclass(slots=True)
class Row:
    """One figure of each server. ``goal`` is text; ``beside`` holds what goes with Whimbrel's figure, by its name."""

    name: str
    unit: str
    goal: str = ""
    figures: dict[str, Spread] = field(default_factory=dict)
    beside: dict[str, Spread] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """Return the row for machines."""
        return {
            "name": self.name,
            "unit": self.unit,
            "goal": self.goal,
            **{name: _record(spread) for name, spread in self.figures.items()},
            "beside": {name: _record(spread) for name, spread in self.beside.items()},
        }


def record(machine: Machine, rows: Iterable[Row], *, rounds: int, seconds: float) -> dict[str, Any]:
    """Return the run for machines."""
    return {
        "machine": machine.record(),
        "rounds": rounds,
        "seconds": round(seconds, 1),
        "rows": [row.record() for row in rows],
    }


def table(rows: Iterable[Row]) -> list[str]:
    """Return the run for people: medians, and least–most of the rounds."""
    cells = [(*_cells(row), _beside(row)) for row in rows]
    wide = [max(len(line[at]) for line in [HEADS, *cells]) for at in range(len(HEADS))]
    lines = [_line(HEADS, wide)]
    for *figures, beside in cells:
        lines.append(_line(figures, wide))
        if beside:
            lines.append(f"    beside it: {beside}")
    return lines


def _cells(row: Row) -> tuple[str, ...]:
    return (f"{row.name}, {row.unit}", row.goal, *(shown(row.figures.get(name)) for name in COLUMNS))


def _beside(row: Row) -> str:
    return " · ".join(f"{name} {shown(spread)}" for name, spread in row.beside.items())


def _line(cells: Sequence[str], wide: Sequence[int]) -> str:
    first, *others = (cell.ljust(width) for cell, width in zip(cells, wide, strict=True))
    return "  ".join([first, *others]).rstrip()


def shown(spread: Spread | None) -> str:
    """Return ``median (least–most)``, the median alone where the rounds agree, – where there is no figure."""
    if spread is None:
        return "–"
    median, least, most = (_number(value) for value in (spread.median, spread.least, spread.most))
    return median if least == most else f"{median} ({least}–{most})"


def _number(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def _record(spread: Spread) -> dict[str, float]:
    return {name: round(getattr(spread, name), 3) for name in ("median", "least", "most")}
