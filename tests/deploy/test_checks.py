"""The checks are checked: each damage to the manifests is found, and told in words."""

import shutil
from pathlib import Path

import pytest

from deploy.checks import bus, compose, dockerfile, schemas
from deploy.checks.__main__ import main, of_objects
from deploy.checks.rendered import Objects
from tests.deploy.damages import DAMAGES, Damage

DEPLOY = Path(__file__).parents[2] / "deploy"


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
