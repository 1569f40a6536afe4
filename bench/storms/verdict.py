"""What a storm found, beside what must hold."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Verdict:
    """One thing that must hold. ``found`` and ``bound`` are text for people."""

    what: str
    found: str
    bound: str
    holds: bool


def at_most(what: str, found: float, bound: float, unit: str = "", *, digits: int = 0) -> Verdict:
    """Return the verdict on a figure that has an upper bound."""
    number = f"{found:,.{digits}f}"
    return Verdict(what, f"{number} {unit}".strip(), f"≤ {bound:,.{digits}f} {unit}".strip(), found <= bound)


def none(what: str, found: str) -> Verdict:
    """Return the verdict on faults, of which there must be none."""
    return Verdict(what, found or "none", "none", not found)


def noted(what: str, found: str) -> Verdict:
    """Return what is told without a bound."""
    return Verdict(what, found, "", True)


def table(title: str, verdicts: Sequence[Verdict]) -> list[str]:
    """Return the lines of a table."""
    wide = [max(len(getattr(each, name)) for each in verdicts) for name in ("what", "found", "bound")]
    lines = [f"{title}"]
    for each in verdicts:
        mark = "" if not each.bound else "kept" if each.holds else "BROKEN"
        cells = (each.what.ljust(wide[0]), each.found.rjust(wide[1]), each.bound.ljust(wide[2]), mark)
        lines.append("  " + "  ".join(cells).rstrip())
    return lines
