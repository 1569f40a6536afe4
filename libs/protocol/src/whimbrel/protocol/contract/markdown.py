"""Markdown pieces of the generated pages: tables, examples, field tables."""

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final

from whimbrel.protocol.channels import CHANNEL_PATTERN
from whimbrel.protocol.contract.schema import GENERATED, Schema, name_of
from whimbrel.protocol.limits import MAX_OFFSET

WIDTH: Final = 110  # characters of a line in an example
HEADER: Final = f"<!-- {GENERATED} -->\n"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; cells hold Markdown, and a bar within a cell is escaped."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def example(value: Any) -> str:
    """Return ``value`` as a block of JSON."""
    return f"```json\n{layout(value)}\n```"


def layout(value: Any, indent: int = 0) -> str:
    """Return ``value`` as JSON for people: on one line where that fits, one member per line where it does not."""
    flat = json.dumps(value, ensure_ascii=False)
    if indent + len(flat) <= WIDTH or not isinstance(value, dict | list) or not value:
        return flat
    pad, inner = " " * indent, " " * (indent + 2)
    if isinstance(value, list):
        return "[\n" + ",\n".join(inner + layout(each, indent + 2) for each in value) + f"\n{pad}]"
    members = (f"{inner}{json.dumps(key)}: {layout(each, indent + 2)}" for key, each in value.items())
    return "{\n" + ",\n".join(members) + f"\n{pad}}}"


def fields(definition: Schema, *, without: Sequence[str] = ()) -> str:
    """Return the table of the fields of ``definition``; a question mark says that a field may be absent."""
    required = definition.get("required", [])
    rows = [
        [f"`{name}`{'' if name in required else '?'}", kind(_present(about)), _meaning(about)]
        for name, about in definition["properties"].items()
        if name not in without
    ]
    return table(["field", "type", "meaning"], rows) if rows else ""


def anchor(name: str) -> str:
    """Return where the page describes definition ``name``."""
    match name:
        case "ClientFrame":
            return "frames-from-the-client"
        case "EdgeFrame":
            return "frames-from-the-edge"
        case "Publication":
            return "publication"
        case _:
            return f"{name}-object".lower()


def kind(about: Schema) -> str:
    """Return the type of a field in words."""
    match about:
        case {"$ref": str(ref)}:
            return f"[{name_of(ref)}](#{anchor(name_of(ref))})"
        case {"const": value}:
            return f"`{json.dumps(value)}`"
        case {"enum": values}:
            return " or ".join(f"`{json.dumps(value)}`" for value in values)
        case {"anyOf": branches}:
            return " or ".join(kind(each) for each in branches)
        case {"type": "array", "items": items}:
            return f"array of {kind(items)}" + _at_most(about.get("maxItems"))
        case {"type": "object", "additionalProperties": dict(values)}:
            return f"object: name → {kind(values)}" + _at_most(about.get("maxProperties"), " of them")
        case {"type": "string", "pattern": str(pattern)} if pattern == CHANNEL_PATTERN:
            return "[channel](#terms)"
        case {"type": "string"}:
            return "string" + _at_most(about.get("maxLength"), " characters")
        case {"type": "integer" | "number" as number}:
            return f"{number}" + _between(about.get("minimum"), about.get("maximum"))
        case {"type": str(plain)}:
            return str(plain)
        case _:
            return "any JSON"


def _present(about: Schema) -> Schema:
    """Return the type of a field that is there: the pages say once that null counts as absent."""
    kept = [each for each in about.get("anyOf", []) if each != {"type": "null"}]
    return kept[0] if len(kept) == 1 else about


def _meaning(about: Schema) -> str:
    text = str(about.get("description", ""))
    if "default" not in about or about["default"] in ([], {}):
        return text
    return f"{text} Default {json.dumps(about['default'])}.".strip()


def _at_most(bound: int | None, unit: str = "") -> str:
    return "" if bound is None else f", at most {bound:,}{unit}"


def _between(low: float | None, high: float | None) -> str:
    if low is None and high is None:
        return ""
    top = "2^53 − 1" if high == MAX_OFFSET else "" if high is None else f"{high:,}"
    return f", {low or 0:g}…{top}" if top else f" ≥ {low:g}"
