"""Namespaces and routes as the services will read them, and that routes lead to channels that exist."""

from collections.abc import Iterator
from pathlib import Path

import yaml

from deploy.checks.rendered import Objects, of_kind
from whimbrel.notifier.core import routes
from whimbrel.notifier.core.errors import MalformedRoutes
from whimbrel.router.core import namespaces


def faults(objects: Objects) -> Iterator[str]:
    """Yield what the services would refuse of the files in the ConfigMaps of ``objects``."""
    files = {name: text for item in of_kind(objects, "ConfigMap") for name, text in item.get("data", {}).items()}
    yield from faults_of(files.get("namespaces.yaml", ""), files.get("routes.yaml", ""))


def faults_in(folder: Path) -> Iterator[str]:
    """Yield what the services would refuse of the files in ``folder``."""
    yield from faults_of((folder / "namespaces.yaml").read_text(), (folder / "routes.yaml").read_text())


def faults_of(namespaces_text: str, routes_text: str) -> Iterator[str]:
    """Yield what the services would refuse of the two texts."""
    try:
        table = namespaces.parse(namespaces_text)
    except namespaces.MalformedNamespaces as error:
        yield f"namespaces.yaml: {error}"
        return
    try:
        routes.load(routes_text)
    except MalformedRoutes as error:
        yield f"routes.yaml: {error}"
        return
    for route in yaml.safe_load(routes_text)["routes"]:
        channels = route.get("channels", [])
        for channel in [channels] if isinstance(channels, str) else channels:
            namespace = channel.partition(":")[0]
            if "{" not in namespace and namespace not in table:
                yield f"routes.yaml: {channel} is in namespace {namespace}, which namespaces.yaml does not have"
