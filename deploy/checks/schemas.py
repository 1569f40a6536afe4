"""Strict schemas: an unknown field is a fault, as it is for the API server."""

import json
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from deploy.checks.rendered import Objects, label

VERSIONS: Final = (
    "1.34.0",
    "1.37.0",
)  # the oldest Kubernetes we support (preStop.sleep is stable there), and the newest
SCHEMAS: Final = Path(__file__).parents[1] / "schemas"
EXTENSIONS: Final = {("gateway.networking.k8s.io/v1", "HTTPRoute"): "httproute-v1.json"}


def faults(objects: Objects) -> Iterator[str]:
    """Yield where an object is not of its schema."""
    for item in objects:
        extension = EXTENSIONS.get((str(item.get("apiVersion")), str(item.get("kind"))))
        if extension:
            yield from (f"{label(item)}: {fault}" for fault in against(extension, item))
            continue
        for version in VERSIONS:
            try:
                validator = _kubernetes(version, str(item.get("apiVersion")), str(item.get("kind")))
            except FileNotFoundError:
                yield f"{label(item)}: Kubernetes {version} has no {item.get('apiVersion')} {item.get('kind')}"
                continue
            yield from (f"{label(item)}: Kubernetes {version}: {fault}" for fault in _sentences(validator, item))


def against(name: str, document: Any) -> Iterator[str]:
    """Yield where ``document`` is not of the schema ``name`` in deploy/schemas."""
    return _sentences(_own(name), document)


def _sentences(validator: Draft202012Validator, document: Any) -> Iterator[str]:
    for error in validator.iter_errors(document):
        deepest = best_match([error])  # of alternatives, the one that was meant
        path = ".".join(str(part) for part in deepest.absolute_path)
        yield f"{path or 'the document'}: {deepest.message}"


@cache
def _own(name: str) -> Draft202012Validator:
    return Draft202012Validator(json.loads((SCHEMAS / name).read_text()))


@cache
def _kubernetes(version: str, api_version: str, kind: str) -> Draft202012Validator:
    """Return the validator of one kind; raises FileNotFoundError where ``version`` knows none."""
    group, _, api = api_version.rpartition("/")  # apps/v1 → apps-v1, networking.k8s.io/v1 → networking-v1, v1 → v1
    schema = json.loads(_schema_text(version, "-".join(filter(None, (kind.lower(), group.split(".")[0], api)))))
    return Draft202012Validator(schema, registry=_definitions(version))


@cache
def _definitions(version: str) -> Registry[Any]:
    definitions = Resource.from_contents(json.loads(_schema_text(version, "_definitions")), DRAFT202012)
    # Crawled once: otherwise every `$ref` searches the 1.8 MB again.
    registry: Registry[Any] = Registry().with_resource("/api/_definitions.json", definitions).crawl()
    return registry


def _schema_text(version: str, name: str) -> str:
    folder = files("kubernetes_validate") / "kubernetes-json-schema" / f"v{version}-local-strict"
    return (folder / f"{name}.json").read_text()
