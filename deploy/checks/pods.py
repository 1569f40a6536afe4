"""Pods: do they start, stop and stay confined as intended?"""

import re
from collections.abc import Iterator
from itertools import combinations
from typing import Any, Final

from deploy.checks.rendered import Objects, Workload, label, workloads

PROBES: Final = ("startupProbe", "livenessProbe", "readinessProbe")
MIN_UID: Final = 10_000  # below, a user of the host may bear the same number


def faults(objects: Objects) -> Iterator[str]:
    """Yield what is wrong with the pods of ``objects``, taken by themselves."""
    for workload in workloads(objects):
        where = label(workload.manifest)
        for fault in (*_selection(workload), *_confinement(workload), *_rollout(workload)):
            yield f"{where}: {fault}"
        for container in workload.containers:
            for fault in (
                *_probes(container, workload.ports),
                *_hardening(container),
                *_resources(container),
                *_references(container),
            ):
                yield f"{where}, container {container['name']}: {fault}"


def _selection(workload: Workload) -> Iterator[str]:
    if not workload.selector:
        yield "selects no labels"
    missing = workload.selector.items() - workload.labels.items()
    if missing:
        yield f"selects {dict(missing)}, which its own pods do not bear"
    for spread in workload.pod.get("topologySpreadConstraints", []):
        if not workload.is_chosen_by(spread.get("labelSelector")):
            yield f"spreads over {spread['topologyKey']} by labels that its pods do not bear"


def _rollout(workload: Workload) -> Iterator[str]:
    strategy = workload.manifest["spec"].get("strategy", {})
    if workload.manifest["kind"] == "Deployment" and strategy.get("rollingUpdate", {}).get("maxUnavailable") != 0:
        yield "a rollout may take pods away before their successors are ready (maxUnavailable must be 0)"


def _confinement(workload: Workload) -> Iterator[str]:
    pod = workload.pod
    if pod.get("automountServiceAccountToken") is not False:
        yield "hands its pods a token for the API server, which none needs"
    if pod.get("enableServiceLinks") is not False:
        yield "fills its pods' environment with every Service (enableServiceLinks must be false)"
    for volume in pod.get("volumes", []):
        if "hostPath" in volume:
            yield f"volume {volume['name']} opens the host's files"
        if "emptyDir" in volume and "sizeLimit" not in volume["emptyDir"]:
            yield f"volume {volume['name']} may fill the node's disk (no sizeLimit)"


def _probes(container: dict[str, Any], ports: dict[str, int]) -> Iterator[str]:
    probes = {name: container[name] for name in PROBES if name in container}
    for name in PROBES:
        if name not in probes:
            yield f"no {name}"
            continue
        port = probes[name].get("httpGet", {}).get("port")
        if port is not None and port not in ports and port not in ports.values():
            yield f"{name} asks port {port}, which it does not have"
    asked = [probes.get(name, {}).get("httpGet") for name in ("livenessProbe", "readinessProbe")]
    if asked[0] is not None and asked[0] == asked[1]:
        yield "is killed for what should only take it out of service: livenessProbe and readinessProbe ask the same"
    for one, other in combinations(probes, 2):
        if probes[one] == probes[other]:
            yield f"{one} and {other} are the same"


def _hardening(container: dict[str, Any]) -> Iterator[str]:
    context = container.get("securityContext", {})
    wanted: dict[str, object] = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    for field, value in wanted.items():
        if context.get(field) != value:
            yield f"securityContext.{field} is {context.get(field)!r}, not {value!r}"
    if context.get("runAsUser", 0) < MIN_UID:
        yield f"runs as user {context.get('runAsUser', 0)}, below {MIN_UID}"


def _resources(container: dict[str, Any]) -> Iterator[str]:
    resources = container.get("resources", {})
    requests, limits = resources.get("requests", {}), resources.get("limits", {})
    for resource in ("cpu", "memory", "ephemeral-storage"):
        if resource not in requests or resource not in limits:
            yield f"no request or no limit of {resource}"
    if requests.get("memory") != limits.get("memory"):
        yield "asks for less memory than it may use: under pressure it would be the first to be killed"


def _references(container: dict[str, Any]) -> Iterator[str]:
    """`$(NAME)` in a value is replaced only where NAME stands above it; otherwise it stays as it is, silently."""
    above: set[str] = set()
    for variable in container.get("env", []):
        for name in re.findall(r"\$\((\w+)\)", str(variable.get("value", ""))):
            if name not in above:
                yield f"{variable['name']} uses $({name}), which no variable above it sets"
        above.add(variable["name"])
