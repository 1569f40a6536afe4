"""What objects say of each other: names, labels and ports that must meet."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from deploy.checks.rendered import Objects, Workload, label, of_kind, workloads

# What an operator creates before the first apply is listed there.
SECRETS_PAGE: Final = Path(__file__).parents[2] / "docs/how-to/deploy-on-kubernetes.md"


def faults(objects: Objects) -> Iterator[str]:
    """Yield what refers to something that is not there, and what should be referred to and is not."""
    pods = workloads(objects)
    yield from _services(objects, pods)
    yield from _disruption(objects, pods)
    yield from _autoscalers(objects, pods)
    yield from _networks(objects, pods)
    yield from _routes(objects)
    for workload in pods:
        yield from (f"{label(workload.manifest)}: {fault}" for fault in _mounts(objects, workload))


def _services(objects: Objects, pods: list[Workload]) -> Iterator[str]:
    for service in of_kind(objects, "Service"):
        chosen = [pod for pod in pods if pod.is_chosen_by({"matchLabels": service["spec"].get("selector", {})})]
        if len(chosen) != 1:
            yield f"{label(service)}: leads to {len(chosen)} workloads, not to one"
        for port in service["spec"]["ports"]:
            target = port.get("targetPort", port["port"])
            if any(target not in pod.ports and target not in pod.ports.values() for pod in chosen):
                yield f"{label(service)}: port {port['port']} leads to port {target}, which the pods do not have"


def _disruption(objects: Objects, pods: list[Workload]) -> Iterator[str]:
    budgets = list(of_kind(objects, "PodDisruptionBudget"))
    for budget in budgets:
        chosen = [pod for pod in pods if pod.is_chosen_by(budget["spec"]["selector"])]
        if len(chosen) != 1:
            yield f"{label(budget)}: protects {len(chosen)} workloads, not one"
    for pod in pods:
        if not any(pod.is_chosen_by(budget["spec"]["selector"]) for budget in budgets):
            yield f"{label(pod.manifest)}: no PodDisruptionBudget protects it"


def _autoscalers(objects: Objects, pods: list[Workload]) -> Iterator[str]:
    for scaler in of_kind(objects, "HorizontalPodAutoscaler"):
        target = scaler["spec"]["scaleTargetRef"]
        scaled = [pod for pod in pods if (pod.manifest["kind"], pod.name) == (target["kind"], target["name"])]
        if not scaled:
            yield f"{label(scaler)}: scales {target['kind']} {target['name']}, which is not there"
        for pod in scaled:
            if "replicas" in pod.manifest["spec"]:
                yield f"{label(pod.manifest)}: `replicas` undoes at each apply what {label(scaler)} decided"


def _networks(objects: Objects, pods: list[Workload]) -> Iterator[str]:
    policies = list(of_kind(objects, "NetworkPolicy"))
    if not any(
        not policy["spec"].get("podSelector") and set(policy["spec"].get("policyTypes", [])) == {"Ingress", "Egress"}
        for policy in policies
    ):
        yield "no NetworkPolicy denies what no other one allows"
    for policy in policies:
        spec = policy["spec"]
        own = [pod for pod in pods if pod.is_chosen_by(spec.get("podSelector"))]
        if not own:
            yield f"{label(policy)}: chooses no pods"
        for rule in spec.get("ingress", []):
            yield from (f"{label(policy)}: {fault}" for fault in _open_ports(rule, own))
        for rule in spec.get("egress", []):
            for peer in rule.get("to", []):
                if "podSelector" in peer and "namespaceSelector" not in peer:
                    peers = [pod for pod in pods if pod.is_chosen_by(peer["podSelector"])]
                    yield from (f"{label(policy)}: {fault}" for fault in _open_ports(rule, peers))


def _open_ports(rule: dict[str, Any], pods: list[Workload]) -> Iterator[str]:
    listening = {number for pod in pods for number in pod.ports.values()}
    for port in rule.get("ports", []):
        if port["port"] not in listening:
            yield f"opens port {port['port']}, on which none of its pods listens"
    if "ports" not in rule:
        yield "opens every port"


def _routes(objects: Objects) -> Iterator[str]:
    services = {
        item["metadata"]["name"]: {port["port"] for port in item["spec"]["ports"]}
        for item in of_kind(objects, "Service")
    }
    for route in of_kind(objects, "HTTPRoute"):
        for rule in route["spec"]["rules"]:
            for backend in rule.get("backendRefs", []):
                if backend.get("port") not in services.get(backend["name"], set()):
                    yield f"{label(route)}: leads to {backend['name']}:{backend.get('port')}, which is not there"


def _mounts(objects: Objects, workload: Workload) -> Iterator[str]:
    present = {(item["kind"], item["metadata"]["name"]) for item in objects}
    account = workload.pod.get("serviceAccountName", "default")
    if ("ServiceAccount", account) not in present:
        yield f"runs as ServiceAccount {account}, which is not there"
    volumes = {volume["name"]: volume for volume in workload.pod.get("volumes", [])}
    claims = {claim["metadata"]["name"] for claim in workload.manifest["spec"].get("volumeClaimTemplates", [])}
    for container in workload.containers:
        for mount in container.get("volumeMounts", []):
            if mount["name"] not in volumes.keys() | claims:
                yield f"mounts volume {mount['name']}, which it does not have"
    for volume in volumes.values():
        config = volume.get("configMap", {}).get("name")
        if config and ("ConfigMap", config) not in present:
            yield f"mounts ConfigMap {config}, which is not there"
    listed = SECRETS_PAGE.read_text().splitlines()
    for secret, key in _secrets(workload):
        if not any(f"`{secret}`" in line and f"`{key}`" in line for line in listed):
            yield f"needs key {key} of Secret {secret}, which {SECRETS_PAGE.name} does not list"


def _secrets(workload: Workload) -> Iterator[tuple[str, str]]:
    for container in workload.containers:
        for variable in container.get("env", []):
            reference = variable.get("valueFrom", {}).get("secretKeyRef")
            if reference:
                yield reference["name"], reference["key"]
    for volume in workload.pod.get("volumes", []):
        for item in volume.get("secret", {}).get("items", []):
            yield volume["secret"]["secretName"], item["key"]
