"""The curves of a run as one SVG, drawn by hand: two small panels need no package, and no package gives both schemes.

Colours follow the reader's light or dark scheme, also where the file is shown as an image in a page.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

WIDTH: Final = 460  # of a panel, with its margins
HEIGHT: Final = 300
LEFT, RIGHT, TOP, BOTTOM = 46, 24, 44, 46
LINES: Final = {"whimbrel": "Whimbrel", "floor": "kernel floor"}
TITLES: Final = {
    "subscribers": ("One channel, 20,000 deliveries/s", "subscribers"),
    "channels": ("10 subscribers each, 5,000 deliveries/s", "channels"),
    "stored": ("One event, all services", "messages stored in the partition"),
    "inboxes": ("One event for one user, all services", "inboxes with messages"),
}
# Contrast is at least 4.5 on white and on GitHub's dark ground; blue and orange differ for colour-blind readers too.
STYLE: Final = """
text { font: 12px system-ui, sans-serif; fill: #333; } .title { font-weight: 600; } .grid { stroke: #ddd; }
.whimbrel { stroke: #0b6e99; fill: #0b6e99; } .floor { stroke: #b35900; fill: #b35900; }
text.whimbrel, text.floor { stroke: none; } path { stroke-width: 2; } path.whimbrel, path.floor { fill: none; }
path.floor { stroke-dasharray: 6 4; } .spread { stroke-width: 1; }
@media (prefers-color-scheme: dark) { text { fill: #ccc; } .grid { stroke: #444; }
.whimbrel { stroke: #5cc4ee; fill: #5cc4ee; } .floor { stroke: #ffab5c; fill: #ffab5c; } }
"""

Point = Mapping[str, Any]


def plot(rows: Sequence[Point]) -> str:
    """Return an SVG of the rows (as a run records them) that are points of a curve."""
    curves: dict[str, list[Point]] = {}
    for row in rows:
        if "curve" in row:
            curves.setdefault(row["curve"], []).append(row)
    svg = Element("svg", xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {WIDTH * len(curves)} {HEIGHT}", role="img")
    SubElement(svg, "title").text = "CPU time, by " + " and by ".join(curves)
    SubElement(svg, "style").text = STYLE
    for place, (curve, points) in enumerate(curves.items()):
        _panel(SubElement(svg, "g", transform=f"translate({WIDTH * place} 0)"), curve, points)
    ElementTree.indent(svg, "")
    return ElementTree.tostring(svg, encoding="unicode") + "\n"


def _panel(panel: Element, curve: str, points: Sequence[Point]) -> None:
    title, counted = TITLES[curve]
    top = _ceiling(max(max(each["rounds"]) for point in points for each in point["figures"].values()))
    first, last = math.log10(points[0]["at"]), math.log10(points[-1]["at"])

    def x(at: float) -> float:
        return LEFT + (math.log10(at) - first) / (last - first) * (WIDTH - LEFT - RIGHT)

    def y(us: float) -> float:
        return HEIGHT - BOTTOM - us / top * (HEIGHT - TOP - BOTTOM)

    _text(panel, LEFT, 18, title, "title")
    for line in range(5):
        us = top * line / 4
        _line(panel, (LEFT, y(us)), (WIDTH - RIGHT, y(us)), "grid")
        _text(panel, LEFT - 6, y(us) + 4, f"{us:g}", anchor="end")
    for point in points:
        _text(panel, x(point["at"]), HEIGHT - BOTTOM + 18, f"{point['at']:,}", anchor="middle")
    _text(panel, (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, counted, anchor="middle")
    shown = {name: label for name, label in LINES.items() if name in points[0]["figures"]}
    for place, (name, label) in enumerate(shown.items()):
        found = [(x(point["at"]), point["figures"][name]) for point in points]
        for at, each in found:
            _line(panel, (at, y(min(each["rounds"]))), (at, y(max(each["rounds"]))), f"{name} spread")
            SubElement(panel, "circle", {"cx": f"{at:.1f}", "cy": f"{y(each['median']):.1f}", "r": "3", "class": name})
        path = " ".join(f"{at:.1f},{y(each['median']):.1f}" for at, each in found)
        SubElement(panel, "path", {"d": f"M {path}", "class": name})
        _text(panel, LEFT + 160 * place, TOP - 10, f"{'●'} {label}, µs", name)


def _ceiling(value: float) -> float:
    """Return the least 1, 2, 4, 6 or 8 times a power of ten from ``value`` on: a quarter of it is round too."""
    power: float = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 4, 6, 8, 10) if step * power >= value)


def _text(panel: Element, x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> None:
    SubElement(panel, "text", {"x": f"{x:.1f}", "y": f"{y:.1f}", "text-anchor": anchor, "class": kind}).text = text


def _line(panel: Element, start: tuple[float, float], end: tuple[float, float], kind: str) -> None:
    ends = {"x1": start[0], "y1": start[1], "x2": end[0], "y2": end[1]}
    SubElement(panel, "line", {**{name: f"{value:.1f}" for name, value in ends.items()}, "class": kind})
