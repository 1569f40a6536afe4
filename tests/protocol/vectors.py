"""The golden vectors of ``tests/vectors``, which the JavaScript tests read as well."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from _pytest.mark.structures import MarkDecorator

FOLDER = Path(__file__).parents[1] / "vectors"
Vector = dict[str, Any]


def vectors(file: str, section: str = "vectors") -> list[Vector]:
    """Return one section of ``file``."""
    found: list[Vector] = json.loads((FOLDER / file).read_text(encoding="utf-8"))[section]
    return found


def every(file: str, section: str = "vectors") -> MarkDecorator:
    """Run a test once for each vector of a section, as ``vector``."""
    found = vectors(file, section)
    return pytest.mark.parametrize("vector", found, ids=[_name(vector) for vector in found])


def message_of(vector: Vector) -> bytes:
    """Return the bytes of a vector's ``message``: a text, repeated pieces of text, or base64."""
    match vector["message"]:
        case str(text):
            return text.encode()
        case {"pieces": pieces}:
            return "".join(piece * count for piece, count in pieces).encode()
        case {"base64": coded}:
            return base64.b64decode(coded)
        case other:
            raise AssertionError(f"{other!r} is no message")


def _name(vector: Vector) -> str:
    text = str(vector.get("name") or next(iter(vector.values())))
    return text.encode("ascii", "backslashreplace").decode()[:60] or "(empty)"
