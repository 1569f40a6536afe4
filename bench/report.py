"""What a run found: a table for people, one JSON object for machines."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from bench.meter import Spread

NAMES: Final = {
    "floor": "Floor",
    "naive": "Naive",
    "socketio": "Socket.IO",
    "bun": "Bun",
    "nchan": "nchan",
    "whimbrel": "Whimbrel",
}
OURS: Final = "whimbrel"


@dataclass(frozen=True, slots=True)
class Goal:
    """What Whimbrel's median should be: at most or at least ``bound``, which may be a multiple of the floor's."""

    kind: Literal["at most", "at least"]
    bound: float
    times_floor: bool = False

    def met(self, figures: dict[str, Spread]) -> bool | None:
        """Tell whether it is; None where that was not measured."""
        if OURS not in figures or (self.times_floor and "floor" not in figures):
            return None
        found = figures[OURS].over(figures["floor"]).median if self.times_floor else figures[OURS].median
        return found <= self.bound if self.kind == "at most" else found >= self.bound

    def __str__(self) -> str:
        return f"{'≤' if self.kind == 'at most' else '≥'} {self.bound:g}{' × floor' if self.times_floor else ''}"


def at_most(bound: float) -> Goal:
    """Return the goal of no more than ``bound``."""
    return Goal("at most", bound)


def at_least(bound: float) -> Goal:
    """Return the goal of no less than ``bound``."""
    return Goal("at least", bound)


def times_floor(bound: float) -> Goal:
    """Return the goal of no more than ``bound`` times what the kernel takes."""
    return Goal("at most", bound, times_floor=True)


@dataclass(slots=True)
class Row:
    """One figure of each server. ``beside`` holds what goes with Whimbrel's figure, by its name.

    A point of a ``curve`` stands ``at`` so many of what the curve counts.
    """

    name: str
    unit: str
    goal: Goal | None = None
    figures: dict[str, Spread] = field(default_factory=dict)
    beside: dict[str, Spread] = field(default_factory=dict)
    curve: str = ""
    at: int = 0

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None where there is none, or no figure."""
        return None if self.goal is None else self.goal.met(self.figures)

    def ratios(self) -> dict[str, Spread]:
        """Return Whimbrel's figure over each other's, round by round."""
        ours = self.figures.get(OURS)
        return {name: ours.over(other) for name, other in self.figures.items() if ours and name != OURS}

    def record(self) -> dict[str, Any]:
        """Return the row for machines."""
        return {
            "name": self.name,
            "unit": self.unit,
            "goal": str(self.goal or ""),
            "met": self.met,
            "figures": {name: each.record() for name, each in self.figures.items()},
            "ratios": {name: each.record() for name, each in self.ratios().items()},
            "beside": {name: each.record() for name, each in self.beside.items()},
            **({"curve": self.curve, "at": self.at} if self.curve else {}),
        }


def table(rows: Sequence[Row]) -> list[str]:
    """Return the run for people: medians, and least–most of the rounds; below them, Whimbrel's over the others'."""
    columns = [name for name in NAMES if any(name in row.figures for row in rows)]
    heads = ("WHAT", "GOAL", *(NAMES[name].upper() for name in columns))
    cells = [(_figures(row, columns), _ratios(row, columns), _beside(row)) for row in rows]
    lines = [heads, *(line for figures, ratios, _ in cells for line in (figures, ratios))]
    wide = [max(len(line[at]) for line in lines) for at in range(len(heads))]
    shown_lines = [_line(heads, wide)]
    for figures, ratios, beside in cells:
        shown_lines.append(_line(figures, wide))
        if any(ratios[2:]):
            shown_lines.append(_line(ratios, wide))
        if beside:
            shown_lines.append(f"    beside it: {beside}")
    return shown_lines


def _figures(row: Row, columns: Iterable[str]) -> tuple[str, ...]:
    verdict = {True: " met", False: " missed", None: ""}[row.met]
    goal = f"{row.goal or ''}{verdict}"
    return (f"{row.name}, {row.unit}", goal, *(shown(row.figures.get(name)) for name in columns))


def _ratios(row: Row, columns: Iterable[str]) -> tuple[str, ...]:
    ratios = row.ratios()
    return ("    whimbrel ÷ it", "", *(f"× {shown(ratios[name])}" if name in ratios else "" for name in columns))


def _beside(row: Row) -> str:
    return " · ".join(f"{name} {shown(spread)}" for name, spread in row.beside.items())


def _line(cells: Sequence[str], wide: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, wide, strict=True)).rstrip()


def shown(spread: Spread | None) -> str:
    """Return what `shown_figure` says of the rounds, – where there is no figure."""
    return "–" if spread is None else shown_figure(spread.rounds)


def shown_figure(rounds: Sequence[float]) -> str:
    """Return ``median (least–most)``, the median alone where the rounds agree."""
    spread = Spread.of(rounds)
    median, least, most = (_number(value) for value in (spread.median, spread.least, spread.most))
    return median if least == most else f"{median} ({least}–{most})"


def _number(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
