"""compose.yaml: its schema, and that its environment, ports and grace periods are what the services need."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from deploy.checks import bus, configuration, schemas, settings


def faults(folder: Path) -> Iterator[str]:
    """Yield the faults of ``folder``/compose.yaml."""
    document = yaml.safe_load((folder / "compose.yaml").read_text())
    for fault in (*schemas.against("compose.json", document), *_services(folder, document), *_files(folder, document)):
        yield f"compose.yaml: {fault}"
    yield from (f"config/{fault}" for fault in configuration.faults_in(folder / "config"))


def _services(folder: Path, document: Mapping[str, Any]) -> Iterator[str]:
    services = document.get("services", {})
    for name in {"nats", *settings.SERVICES} - services.keys():
        yield f"no service {name}"
    for name, service in services.items():
        written = {key: str(value) for key, value in service.get("environment", {}).items()}
        environment = {key: _interpolated(value) for key, value in written.items()}
        grace_s = int(str(service.get("stop_grace_period", "10s")).removesuffix("s"))
        if name == "nats":
            yield from (f"nats: {fault}" for fault in bus.environment_faults(folder, environment, grace_s))
        for key, value in written.items():
            if key.endswith(("_PASSWORD", "_SERVICE_KEY")) and value != f"${{{key}:?set it in compose.env}}":
                yield f"{name}: {key} may be empty or is written here; it must be ${{{key}:?set it in compose.env}}"
        if name in settings.SERVICES:
            yield from (f"{name}: {fault}" for fault in _service(folder, name, service, environment, grace_s))


def _service(
    folder: Path, name: str, service: Mapping[str, Any], environment: Mapping[str, str], grace_s: int
) -> Iterator[str]:
    found = settings.read(name, environment)
    if isinstance(found, str):
        yield found
        return
    yield from settings.partition_faults(found, folder)
    if found.drain_s + settings.ROOM_S > grace_s:
        yield f"is killed before it has drained: {found.drain_s:g} s of a grace of {grace_s} s"
    if f":{found.ops_port}/ready" not in str(service.get("healthcheck")):
        yield f"its health is not asked at port {found.ops_port}"
    host, port = settings.address_of(found)
    for published in service.get("ports", []):
        if int(published.rsplit(":", 1)[1]) != port or host != "0.0.0.0":
            yield f"publishes {published}, while the service listens on {host}:{port}"


def _files(folder: Path, document: Mapping[str, Any]) -> Iterator[str]:
    for name, service in document.get("services", {}).items():
        for volume in service.get("volumes", []):
            if volume["type"] == "bind" and not (folder / volume["source"]).exists():
                yield f"{name}: mounts {volume['source']}, which is not there"


def _interpolated(value: str) -> str:
    """Replace variables as compose does: by their default, and where they have none by a stand-in."""
    return re.sub(
        r"\$\{\w+(?::-(?P<default>[^}]*)|:\?[^}]*)?\}",
        lambda found: settings.STANDS_FOR_A_SECRET if found["default"] is None else found["default"],
        value,
    )
