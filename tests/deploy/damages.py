"""Damages to the manifests, each with the sentence that must tell of it."""

from collections.abc import Callable
from typing import Any

from deploy.checks.rendered import Objects


def find(objects: Objects, kind: str, name: str) -> Any:
    return next(item for item in objects if (item["kind"], item["metadata"]["name"]) == (kind, name))


def spec(objects: Objects, kind: str, name: str) -> Any:
    return find(objects, kind, name)["spec"]


def pod(objects: Objects, name: str = "edge") -> Any:
    return spec(objects, "StatefulSet" if name == "nats" else "Deployment", name)["template"]["spec"]


def container(objects: Objects, name: str = "edge") -> Any:
    return pod(objects, name)["containers"][0]


def setting(objects: Objects, service: str, name: str, value: str) -> None:
    """Set or add one variable of a service's container."""
    variables = container(objects, service)["env"]
    variables[:] = [item for item in variables if item["name"] != name] + [{"name": name, "value": value}]


def config(objects: Objects, name: str, key: str, text: str) -> None:
    """Replace a file in a ConfigMap, whose name ends in the hash of what it held."""
    found = next(item for item in objects if item["kind"] == "ConfigMap" and item["metadata"]["name"].startswith(name))
    found["data"][key] = text


def edge_probes(objects: Objects, one: str, other: str) -> None:
    container(objects)[one] = container(objects)[other]


Damage = Callable[[Objects], object]

DAMAGES: list[tuple[str, Damage, str]] = [
    # What a strict schema finds
    (
        "a misspelt field",
        lambda o: container(o).update(readynessProbe={}),
        "Deployment edge: Kubernetes 1.34.0: spec.template.spec.containers.0: Additional properties are not allowed "
        "('readynessProbe' was unexpected)",
    ),
    (
        "a number where text belongs",
        lambda o: container(o)["env"].append({"name": "A", "value": 1}),
        "is not of type 'string'",
    ),
    (
        "a misspelt field of the route",
        lambda o: spec(o, "HTTPRoute", "whimbrel")["rules"][1].update(timeout={"request": "0s"}),
        "HTTPRoute whimbrel: spec.rules.1: Additional properties",
    ),
    (
        "an unknown kind",
        lambda o: find(o, "Service", "edge").update(kind="Servise"),
        "Kubernetes 1.34.0 has no v1 Servise",
    ),
    # Starting and stopping
    (
        "no sleep before the end",
        lambda o: container(o).pop("lifecycle"),
        "is stopped while the endpoints still lead to it",
    ),
    (
        "too short a grace",
        lambda o: pod(o).update(terminationGracePeriodSeconds=130),
        "is killed before it has drained: preStop 10 s + drain 120 s + 5 s exceed the grace period of 130 s",
    ),
    (
        "a drain longer than the grace",
        lambda o: setting(o, "edge", "WHIMBREL_EDGE_DRAIN_S", "600"),
        "is killed before it has drained",
    ),
    (
        "a lame duck cut short",
        lambda o: pod(o, "nats").update(terminationGracePeriodSeconds=45),
        "is killed while it moves its clients: lame duck lasts 40 s of a grace of 45 s",
    ),
    (
        "one probe for two questions",
        lambda o: container(o)["livenessProbe"].update(httpGet={"path": "/ready", "port": "ops"}),
        "is killed for what should only take it out of service",
    ),
    (
        "the same probe twice",
        lambda o: edge_probes(o, "startupProbe", "livenessProbe"),
        "startupProbe and livenessProbe are the same",
    ),
    ("a missing probe", lambda o: container(o).pop("startupProbe"), "container service: no startupProbe"),
    (
        "a probe of nothing",
        lambda o: container(o)["livenessProbe"]["httpGet"].update(port="admin"),
        "livenessProbe asks port admin, which it does not have",
    ),
    (
        "a rollout that takes away first",
        lambda o: spec(o, "Deployment", "edge")["strategy"]["rollingUpdate"].update(maxUnavailable=1),
        "maxUnavailable must be 0",
    ),
    # Confinement
    (
        "a writable root",
        lambda o: container(o)["securityContext"].pop("readOnlyRootFilesystem"),
        "securityContext.readOnlyRootFilesystem is None, not True",
    ),
    (
        "a capability kept",
        lambda o: container(o)["securityContext"].update(capabilities={"drop": ["ALL"], "add": ["NET_RAW"]}),
        "securityContext.capabilities is",
    ),
    ("a user of the host", lambda o: container(o)["securityContext"].update(runAsUser=1000), "runs as user 1000"),
    ("a token mounted", lambda o: pod(o).pop("automountServiceAccountToken"), "a token for the API server"),
    (
        "the environment of every Service",
        lambda o: pod(o).pop("enableServiceLinks"),
        "enableServiceLinks must be false",
    ),
    (
        "the host's files",
        lambda o: pod(o)["volumes"].append({"name": "host", "hostPath": {"path": "/"}}),
        "volume host opens the host's files",
    ),
    ("no bound on a scratch volume", lambda o: pod(o)["volumes"][0].update(emptyDir={}), "no sizeLimit"),
    (
        "no memory limit",
        lambda o: container(o)["resources"]["limits"].pop("memory"),
        "no limit of memory",
    ),
    (
        "memory overcommitted",
        lambda o: container(o)["resources"]["requests"].update(memory="1Mi"),
        "asks for less memory than it may use",
    ),
    # What must meet
    (
        "labels that its own pods lack",
        lambda o: spec(o, "Deployment", "edge")["selector"].update(matchLabels={"app.kubernetes.io/name": "egde"}),
        "selects {'app.kubernetes.io/name': 'egde'}, which its own pods do not bear",
    ),
    (
        "a Service that leads nowhere",
        lambda o: spec(o, "Service", "edge").update(selector={"app.kubernetes.io/name": "egde"}),
        "Service edge: leads to 0 workloads",
    ),
    (
        "a Service port that leads nowhere",
        lambda o: spec(o, "Service", "auth")["ports"][0].update(targetPort="web"),
        "leads to port web, which the pods do not have",
    ),
    (
        "a workload without a budget",
        lambda o: o.remove(find(o, "PodDisruptionBudget", "router")),
        "Deployment router: no PodDisruptionBudget protects it",
    ),
    (
        "an autoscaler of nothing",
        lambda o: spec(o, "HorizontalPodAutoscaler", "edge")["scaleTargetRef"].update(name="egde"),
        "scales Deployment egde, which is not there",
    ),
    (
        "two owners of the number of pods",
        lambda o: spec(o, "Deployment", "edge").update(replicas=3),
        "`replicas` undoes at each apply",
    ),
    ("no default deny", lambda o: o.remove(find(o, "NetworkPolicy", "default-deny")), "no NetworkPolicy denies"),
    (
        "a network rule for a port nobody has",
        lambda o: spec(o, "NetworkPolicy", "services-to-nats")["egress"][0]["ports"][0].update(port=4223),
        "opens port 4223, on which none of its pods listens",
    ),
    (
        "a network rule for every port",
        lambda o: spec(o, "NetworkPolicy", "router")["ingress"][0].pop("ports"),
        "NetworkPolicy router: opens every port",
    ),
    (
        "a route to nowhere",
        lambda o: spec(o, "HTTPRoute", "whimbrel")["rules"][0]["backendRefs"][0].update(port=8081),
        "leads to auth:8081, which is not there",
    ),
    (
        "an account that is not there",
        lambda o: o.remove(find(o, "ServiceAccount", "notifier")),
        "runs as ServiceAccount notifier, which is not there",
    ),
    (
        "configuration that is not there",
        lambda o: pod(o, "router")["volumes"][0].update(configMap={"name": "router-config"}),
        "mounts ConfigMap router-config, which is not there",
    ),
    (
        "a mount without a volume",
        lambda o: pod(o).update(volumes=[]),
        "mounts volume tmp, which it does not have",
    ),
    (
        "a secret that nobody documented",
        lambda o: container(o)["env"][0]["valueFrom"]["secretKeyRef"].update(key="password"),
        "needs key password of Secret whimbrel-nats",
    ),
    # Configuration
    (
        "a namespace without the one thing it must say",
        lambda o: config(o, "router-config", "namespaces.yaml", "orders: {subscribe: authenticated}"),
        "namespaces.yaml: line 1: orders",
    ),
    (
        "a route that matches nothing",
        lambda o: config(o, "notifier-config", "routes.yaml", "routes: [{subject: shop.*, channels: 'orders:1'}]"),
        "'shop.*' can match no event",
    ),
    (
        "a route to channels that do not exist",
        lambda o: config(o, "notifier-config", "routes.yaml", "routes: [{subject: events.>, channels: 'order:{id}'}]"),
        "order:{id} is in namespace order, which namespaces.yaml does not have",
    ),
    # Settings
    (
        "a setting that does not exist",
        lambda o: setting(o, "edge", "WHIMBREL_EDGE_ALLOWED_ORIGIN", "https://a.example"),
        "sets WHIMBREL_EDGE_ALLOWED_ORIGIN, which the service does not know",
    ),
    (
        "a setting out of bounds",
        lambda o: setting(o, "edge", "WHIMBREL_EDGE_LOG_FORMAT", "xml"),
        "WHIMBREL_EDGE_LOG_FORMAT: Input should be 'text' or 'json'",
    ),
    (
        "a password used before it is set",
        lambda o: container(o)["env"].reverse(),
        "WHIMBREL_EDGE_NATS_URL uses $(NATS_PASSWORD), which no variable above it sets",
    ),
    (
        "probes that cannot come in",
        lambda o: setting(o, "auth", "WHIMBREL_AUTH_OPS_HOST", "127.0.0.1"),
        "answers probes on 127.0.0.1 only",
    ),
    (
        "another port than the service's",
        lambda o: setting(o, "edge", "WHIMBREL_EDGE_PORT", "8000"),
        "declares port clients 8080, while the service listens on 8000",
    ),
    (
        "another number of partitions than the bus's",
        lambda o: setting(o, "router", "WHIMBREL_ROUTER_PARTITIONS", "16"),
        "declares 16 partitions, while nats/partitions.conf spreads over 8",
    ),
    (
        "a variable of nats.conf that is not set",
        lambda o: container(o, "nats")["env"].pop(),
        "does not set WHIMBREL_NATS_DOMAIN_PASSWORD, which nats.conf asks for",
    ),
    (
        "a variable that nats.conf does not use",
        lambda o: setting(o, "nats", "WHIMBREL_NATS_CLUSTER", "x"),
        "sets WHIMBREL_NATS_CLUSTER, which nats.conf does not use",
    ),
]
