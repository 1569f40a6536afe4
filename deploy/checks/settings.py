"""What the manifests tell the services, against the settings that the services have."""

import importlib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from unittest import mock

from pydantic import ValidationError

from deploy.checks import bus
from deploy.checks.rendered import Objects, Workload, label, workloads
from whimbrel.runtime.settings import ListeningSettings, ServiceSettings

SERVICES: Final = ("edge", "auth", "router", "notifier")
STANDS_FOR_A_SECRET: Final = "a-secret-of-some-40-letters-and-digits-00"
ROOM_S: Final = 5  # between the end of a drain and SIGKILL: cancel what is left, flush logs and spans


def faults(objects: Objects, folder: Path) -> Iterator[str]:
    """Yield where a pod's environment is not what its service understands."""
    for workload in workloads(objects):
        where = label(workload.manifest)
        grace = workload.pod.get("terminationGracePeriodSeconds", 30)
        container = workload.containers[-1]
        environment = environment_of(container)
        if workload.name == "nats":
            yield from (f"{where}: {fault}" for fault in bus.environment_faults(folder, environment, grace))
        if workload.name not in SERVICES:
            continue
        settings = read(workload.name, environment)
        if isinstance(settings, str):
            yield f"{where}: {settings}"
            continue
        yield from (f"{where}: {fault}" for fault in _stops_in_time(settings, container, grace))
        yield from (f"{where}: {fault}" for fault in _listens(settings, workload))
        yield from (f"{where}: {fault}" for fault in partition_faults(settings, folder))


def environment_of(container: Mapping[str, Any]) -> dict[str, str]:
    """Return the environment as the kubelet makes it, with a stand-in for what comes from elsewhere."""
    environment: dict[str, str] = {}
    for variable in container.get("env", []):
        text = str(variable["value"]) if "value" in variable else STANDS_FOR_A_SECRET
        environment[variable["name"]] = re.sub(r"\$\((\w+)\)", lambda found: environment.get(found[1], found[0]), text)
    return environment


def read(service: str, environment: Mapping[str, str]) -> ServiceSettings | str:
    """Return the settings of ``service`` in ``environment``, or the sentence that says why there are none."""
    module = importlib.import_module(f"whimbrel.{service}.settings")
    settings: type[ServiceSettings] = next(
        item
        for item in vars(module).values()
        if isinstance(item, type) and issubclass(item, ServiceSettings) and item.__module__ == module.__name__
    )
    prefix = settings.model_config.get("env_prefix", "").upper()
    known = {f"{prefix}{name}".upper() for name in settings.model_fields}
    unknown = sorted(name for name in environment if name.startswith(prefix) and name not in known)
    if unknown:
        return f"sets {', '.join(unknown)}, which the service does not know"
    with mock.patch.dict(os.environ, environment, clear=True):
        try:
            return settings()
        except ValidationError as error:
            return "; ".join(f"{prefix}{fault['loc'][0]}".upper() + f": {fault['msg']}" for fault in error.errors())


def partition_faults(settings: ServiceSettings, folder: Path) -> Iterator[str]:
    """Yield where the router's number of partitions is not the one in nats/partitions.conf."""
    partitions = getattr(settings, "partitions", None)
    if partitions is not None and partitions != bus.partitions(folder):
        yield f"declares {partitions} partitions, while nats/partitions.conf spreads over {bus.partitions(folder)}"


def _stops_in_time(settings: ServiceSettings, container: Mapping[str, Any], grace_s: float) -> Iterator[str]:
    sleep_s = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    if not sleep_s:
        yield "is stopped while the endpoints still lead to it (no preStop sleep)"
    needed_s = sleep_s + settings.drain_s + ROOM_S
    if needed_s > grace_s:
        yield (
            f"is killed before it has drained: preStop {sleep_s} s + drain {settings.drain_s:g} s + {ROOM_S} s "
            f"exceed the grace period of {grace_s} s"
        )


def _listens(settings: ServiceSettings, workload: Workload) -> Iterator[str]:
    ports = dict(workload.ports)
    ops = ports.pop("ops", None)
    if ops != settings.ops_port:
        yield f"declares ops port {ops}, while the service listens on {settings.ops_port}"
    if settings.ops_host != "0.0.0.0":
        yield f"answers probes on {settings.ops_host} only"
    host, listens_on = address_of(settings)
    for name, number in ports.items():
        if number != listens_on:
            yield f"declares port {name} {number}, while the service listens on {listens_on}"
        if host != "0.0.0.0":
            yield f"listens on {host} only"


def address_of(settings: ServiceSettings) -> tuple[str, int]:
    """Return host and port on which a service is asked; of one that listens nowhere a port that nobody can mean."""
    return (settings.host, settings.port) if isinstance(settings, ListeningSettings) else ("nowhere", 0)
