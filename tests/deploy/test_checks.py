"""The checks are checked: each damage to the manifests is found, and told in words."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deploy.checks import bus, compose, dockerfile, schemas
from deploy.checks.__main__ import main, of_objects
from deploy.checks.rendered import Objects

DEPLOY = Path(__file__).parents[2] / "deploy"


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


def test_what_is_committed_has_no_fault(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(DEPLOY) == 0, capsys.readouterr().err


@pytest.mark.parametrize(("damage", "sentence"), [row[1:] for row in DAMAGES], ids=[row[0] for row in DAMAGES])
def test_damage_is_found(objects: Objects, damage: Damage, sentence: str) -> None:
    damage(objects)
    assert sentence in "\n".join(of_objects(objects, DEPLOY))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of deploy/, to be damaged."""
    shutil.copytree(DEPLOY, tmp_path / "deploy", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "deploy"


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_a_field_misspelt_in_a_file_fails_the_whole_check(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit(folder / "k8s/base/edge.yaml", "maxReplicas:", "maxReplica:")
    assert main(folder) == 1
    assert "HorizontalPodAutoscaler edge: Kubernetes 1.37.0: spec: " in capsys.readouterr().err


def test_a_folder_that_does_not_render_is_a_fault_and_no_traceback(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(folder / "k8s/base/kustomization.yaml", "- edge.yaml", "- egde.yaml")
    assert main(folder) == 1
    assert "egde.yaml" in capsys.readouterr().err


def test_the_overlay_in_the_docs_is_without_fault(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = (DEPLOY.parent / "docs/how-to/deploy-on-kubernetes.md").read_text()
    mine = folder / "k8s/overlays/mine"
    mine.mkdir(parents=True)
    (mine / "kustomization.yaml").write_text(page.split("```yaml\n")[1].split("```")[0])
    for name in ("namespaces.yaml", "routes.yaml"):
        shutil.copy(folder / "config" / name, mine / name)
    assert main(folder) == 0, capsys.readouterr().err


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("system_account: SYS", "system_acount: SYS", 'unknown field "system_acount"'),
        ("$WHIMBREL_NATS_PORT", "$WHIMBREL_NATS_PROT", "variable reference for 'WHIMBREL_NATS_PROT'"),
        ("{{partition(8,1,2,3)}}", "{{partition(8,1,2,4)}}", "invalid mapping destination"),
    ],
    ids=["a misspelt field", "a misspelt variable", "a mapping of a token that is not there"],
)
def test_what_nats_server_refuses_is_found(folder: Path, old: str, new: str, sentence: str) -> None:
    edit(folder / "nats/nats.conf", old, new)
    assert sentence in "\n".join(bus.faults(folder))


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            "read_only: true",
            "readonly: true",
            "edge: Unevaluated properties are not allowed ('readonly'",
        ),
        (":?set it in compose.env}", "}", "WHIMBREL_NATS_SYSTEM_PASSWORD may be empty or is written here"),
        ("127.0.0.1:9080/ready", "127.0.0.1:9081/ready", "edge: its health is not asked at port 9080"),
        ('"8080:8080"', '"8080:80"', "edge: publishes 8080:80, while the service listens on 0.0.0.0:8080"),
        ("WHIMBREL_EDGE_HOST: 0.0.0.0", "WHIMBREL_EDGE_HOST: 127.0.0.1", "edge: publishes 8080:8080"),
        ("WHIMBREL_AUTH_KEYS_FILE", "WHIMBREL_AUTH_KEY_FILE", "auth: sets WHIMBREL_AUTH_KEY_FILE, which"),
        ("stop_grace_period: 60s # longer", "stop_grace_period: 5s # longer", "is killed before it has drained"),
        ("source: ./config", "source: ./conf", "router: mounts ./conf, which is not there"),
        ("WHIMBREL_NATS_SYNC: always", "WHIMBREL_NATS_FSYNC: always", "nats: does not set WHIMBREL_NATS_SYNC"),
        ("  notifier:\n", "  notfier:\n", "no service notifier"),
    ],
)
def test_damage_to_compose_is_found(folder: Path, old: str, new: str, sentence: str) -> None:
    edit(folder / "compose.yaml", old, new)
    assert sentence in "\n".join(compose.faults(folder))


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("USER 10001:10001", "USER whimbrel", "runs as whimbrel"),
        ("USER 10001:10001", "USER 0:0", "runs as 0:0"),
        ('ENTRYPOINT ["/opt/whimbrel/bin/service"]', "ENTRYPOINT /opt/whimbrel/bin/service", "a shell stands between"),
        ("--require-hashes", "", "installs tools without their hashes"),
        ("--constraint requirements.lock", "", "installs what requirements.lock does not pin"),
        ("STOPSIGNAL SIGTERM", "HEALTHCHECK CMD true", "HEALTHCHECK is not among the instructions"),
        ("WORKDIR /\n", "RUN apt-get update\n", "runs something while it is built"),
    ],
)
def test_damage_to_the_dockerfile_is_found(folder: Path, old: str, new: str, sentence: str) -> None:
    edit(folder / "Dockerfile", old, new)
    assert sentence in "\n".join(dockerfile.faults(folder / "Dockerfile"))


def test_a_schema_names_the_field_deep_inside_alternatives() -> None:
    document = {"services": {"a": {"image": "x", "ports": [{"target": 1, "publish": 2}]}}}
    assert next(schemas.against("compose.json", document)) == (
        "services.a.ports.0: 'publish' does not match any of the regexes: '^x-'"
    )
