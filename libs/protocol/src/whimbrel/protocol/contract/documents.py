"""Every generated document, by its path from the root of the repository."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from whimbrel.protocol.contract import asyncapi, javascript, openapi, page, reference, schema
from whimbrel.protocol.contract.routes import ROUTES


def documents() -> Mapping[Path, str]:
    """Return path and text of every generated document; the same on every machine."""
    docs = Path("docs")
    pages = docs / "reference"
    return {
        docs / "websocket-api.md": page.websocket_api(),
        pages / "codes.md": reference.codes_page(),
        pages / "limits.md": reference.limits_page(),
        pages / "subjects.md": reference.subjects_page(),
        pages / "asyncapi.json": _json(asyncapi.document()),
        **{
            pages / f"openapi-{service}.json": _json(openapi.document(service, routes))
            for service, routes in ROUTES.items()
        },
        pages / "schema" / "client-message.json": _json(schema.client_message()),
        pages / "schema" / "edge-message.json": _json(schema.edge_message()),
        pages / "schema" / "bodies.json": _json(schema.bodies()),
        **{Path("clients/js/src") / name: text for name, text in javascript.modules().items()},
    }


def _json(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
