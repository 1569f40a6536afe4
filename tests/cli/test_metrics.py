"""/metrics of every process: readable, named as Prometheus wants it, and all of it on the reference page."""

import re
import shutil
import subprocess
from typing import Any

import httpx
import pytest

from tests.support.commandline import ROOT
from tests.support.dev import Development
from tests.support.exposition import Family, read
from whimbrel.edge.shell.certificate import Certificate
from whimbrel.edge.shell.deflate import Deflater
from whimbrel.runtime.metrics import Metrics

PAGE = ROOT / "docs/reference/metrics.md"
SERVICES = ("edge", "auth", "router", "notifier")
ROW = re.compile(r"\| `(\w+)` \| (\w+) \| (.*?) \| (.*) \|")


@pytest.fixture(scope="module")
def scrapes(development: Development) -> dict[str, str]:
    """What each process answers, by its name."""
    ops = development.running["ops"]
    return {name: httpx.get(f"{ops[name]}/metrics", trust_env=False).raise_for_status().text for name in SERVICES}


def documented() -> dict[str, dict[str, tuple[str, str]]]:
    """Return type and text of each metric on the page, by section and name."""
    sections: dict[str, dict[str, tuple[str, str]]] = {}
    for section in PAGE.read_text().split("\n## ")[1:]:
        rows = (ROW.fullmatch(line) for line in section.splitlines())
        sections[section.split("\n")[0]] = {row[1]: (row[2], row[4]) for row in rows if row}
    return sections


def expected(scrapes: dict[str, str]) -> dict[str, dict[str, tuple[str, str]]]:
    """Return what the page should say, by section and name."""
    found = {name: read(text) for name, text in scrapes.items()}
    found["edge"] |= read_heads(_only_with_settings())
    shared = set.intersection(*(set(families) for families in found.values()))
    sections = {"Every process": {name: found["auth"][name] for name in found["auth"] if name in shared}}
    for service, families in found.items():
        sections[service.capitalize()] = {name: each for name, each in families.items() if name not in shared}
    return {
        section: {name: (each.kind, each.text) for name, each in families.items()}
        for section, families in sections.items()
    }


def _only_with_settings() -> Metrics:
    """Return the metrics of an edge that are there only when a setting asks for them."""
    metrics = Metrics()
    metrics._samples.clear()
    Deflater().expose(metrics)
    unread: Any = None  # nothing is read here but names and texts
    Certificate.expose(unread, metrics)
    return metrics


def read_heads(metrics: Metrics) -> dict[str, Family]:
    return {name: Family(name, text, kind) for name, (text, kind, _) in metrics._samples.items()}


@pytest.mark.parametrize("service", SERVICES)
def test_what_a_process_tells_is_well_formed_and_its_names_follow_the_conventions(
    scrapes: dict[str, str], service: str
) -> None:
    for family in read(scrapes[service]).values():
        assert family.name.startswith(("process_", "whimbrel_"))
        assert family.text.endswith("."), f"{family.name} is not told in a sentence"
        assert "_ms" not in family.name, "seconds, not milliseconds"


@pytest.mark.parametrize("service", SERVICES)
def test_promtool_has_nothing_against_it(scrapes: dict[str, str], service: str) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed: `apt-get install prometheus` brings it")
    done = subprocess.run(
        [promtool, "check", "metrics"], input=scrapes[service], capture_output=True, text=True, check=False, timeout=20
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_reference_page_names_every_metric_and_no_other(scrapes: dict[str, str]) -> None:
    assert documented() == expected(scrapes), "mend docs/reference/metrics.md"
