"""Every generated document, by its path from the root of the repository."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from whimbrel.protocol.contract import javascript, schema


def documents() -> Mapping[Path, str]:
    """Return path and text of every generated document; the same on every machine."""
    reference = Path("docs/reference")
    return {
        reference / "schema" / "client-message.json": _json(schema.client_message()),
        reference / "schema" / "edge-message.json": _json(schema.edge_message()),
        reference / "schema" / "bodies.json": _json(schema.bodies()),
        Path("clients/js/src/protocol.gen.js"): javascript.module(),
    }


def _json(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
