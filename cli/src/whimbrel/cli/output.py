"""What commands write: lines and tables for people, one JSON object per line for machines."""

import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click


class Output:
    """Standard output of a command. Colours only on a terminal, and never where NO_COLOR is set (no-color.org)."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self._coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")

    def say(self, text: str, record: dict[str, Any] | None = None) -> None:
        """Write ``text`` for people, ``record`` for machines; what has no record is for people only."""
        if not self.as_json:
            self._write(text)
        elif record is not None:
            self._write(json.dumps(record, ensure_ascii=False, separators=(",", ":"), default=str))

    def table(self, head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Write a table for people; numbers stand right."""
        cells = [[str(cell) for cell in row] for row in rows]
        wide = [max(len(row[column]) for row in [list(head), *cells]) for column in range(len(head))]
        right = [bool(cells) and all(_numeric(row[column]) for row in cells) for column in range(len(head))]
        self._write(self.dim(_line(head, wide, right)))
        for row in cells:
            self._write(_line(row, wide, right))

    def good(self, text: str) -> str:
        """Return ``text`` as good news."""
        return self._styled(text, fg="green")

    def bad(self, text: str) -> str:
        """Return ``text`` as bad news."""
        return self._styled(text, fg="red")

    def loud(self, text: str) -> str:
        """Return ``text`` as what matters most."""
        return self._styled(text, bold=True)

    def dim(self, text: str) -> str:
        """Return ``text`` as what matters least."""
        return self._styled(text, dim=True)

    def _styled(self, text: str, **style: Any) -> str:
        return click.style(text, **style) if self._coloured else text

    def _write(self, line: str) -> None:
        click.echo(line, color=self._coloured)
        sys.stdout.flush()  # whoever reads a pipe is waiting for this very line


def _line(cells: Sequence[str], wide: Sequence[int], right: Sequence[bool]) -> str:
    padded = [
        cell.rjust(width) if to_right else cell.ljust(width)
        for cell, width, to_right in zip(cells, wide, right, strict=True)
    ]
    return "  ".join(padded).rstrip()


def _numeric(cell: str) -> bool:
    return cell.replace(".", "", 1).replace(",", "").isdigit() or cell == "–"
