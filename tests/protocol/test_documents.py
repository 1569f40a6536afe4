"""What is generated is current, valid by the official schemas, and complete."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.support.nats import ROOT
from whimbrel.protocol.codes import CloseCode, ErrorCode
from whimbrel.protocol.contract import examples, openapi
from whimbrel.protocol.contract.documents import documents
from whimbrel.protocol.contract.models import BODIES, CLIENT_FRAMES, EDGE_FRAMES, type_of
from whimbrel.protocol.contract.routes import ROUTES

# Apache-2.0, an npm package of the checks; `make js` installs it.
ASYNCAPI_SCHEMA = ROOT / "clients/js/node_modules/@asyncapi/specs/schemas/3.0.0.json"


DOCUMENTS = documents()


def text_of(name: str) -> str:
    return DOCUMENTS[Path(name)]


def generate(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "whimbrel.protocol.contract", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60)


def test_what_is_committed_is_what_the_contract_says_now() -> None:
    checked = generate("--check", cwd=ROOT)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_the_check_names_each_stale_file_and_writes_nothing(tmp_path: Path) -> None:
    member = tmp_path / "libs/protocol/pyproject.toml"
    member.parent.mkdir(parents=True)
    member.touch()
    assert generate(cwd=tmp_path).returncode == 0
    assert generate("--check", cwd=tmp_path).returncode == 0
    stale, missing = tmp_path / "docs/reference/codes.md", tmp_path / "clients/js/src/protocol.gen.js"
    stale.write_text("by hand")
    missing.unlink()
    checked = generate("--check", cwd=tmp_path)
    assert checked.returncode == 1
    assert re.findall(r"(?m)^(\S+) is not what", checked.stderr) == [
        "docs/reference/codes.md",
        "clients/js/src/protocol.gen.js",
    ]
    assert stale.read_text() == "by hand"
    assert not missing.exists()


def test_outside_the_repository_nothing_is_written(tmp_path: Path) -> None:
    refused = generate(cwd=tmp_path)
    assert refused.returncode == 2
    assert "root of the repository" in refused.stderr
    assert list(tmp_path.iterdir()) == []


def test_every_document_says_that_it_is_generated() -> None:
    for path, text in DOCUMENTS.items():
        assert "Generated from whimbrel.protocol by `make generate`: do not edit." in text[:1000], path
        assert text.endswith("\n"), path


@pytest.mark.parametrize("service", ROUTES)
def test_openapi_is_valid(service: str) -> None:
    OpenAPIV31SpecValidator(json.loads(text_of(f"docs/reference/openapi-{service}.json"))).validate()


@pytest.mark.parametrize("service", ROUTES)
def test_the_examples_in_openapi_follow_their_schemas(service: str) -> None:
    document = json.loads(text_of(f"docs/reference/openapi-{service}.json"))
    for content in contents(document["paths"]):
        if "example" in content:
            root = {"$ref": content["schema"]["$ref"], "components": document["components"]}
            jsonschema.Draft202012Validator(root).validate(content["example"])


def contents(value: Any) -> list[dict[str, Any]]:
    """Return every media type object within ``value``."""
    if not isinstance(value, dict):
        return []
    own = list(value["content"].values()) if isinstance(value.get("content"), dict) else []
    return own + [each for inner in value.values() for each in contents(inner)]


def test_asyncapi_is_valid() -> None:
    if not ASYNCAPI_SCHEMA.is_file():
        pytest.skip("the official AsyncAPI schema is not installed: `make js` installs it")
    official = json.loads(ASYNCAPI_SCHEMA.read_text())
    document = json.loads(text_of("docs/reference/asyncapi.json"))
    assert [error.message for error in jsonschema.Draft7Validator(official).iter_errors(document)] == []


def test_every_reference_in_asyncapi_leads_somewhere() -> None:
    document = json.loads(text_of("docs/reference/asyncapi.json"))
    for ref in set(re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(document))):
        target = document
        for step in ref.split("/"):
            target = target[step]
        assert target


def test_the_examples_in_asyncapi_follow_their_schemas() -> None:
    document = json.loads(text_of("docs/reference/asyncapi.json"))
    for message in document["components"]["messages"].values():
        validator = jsonschema.Draft7Validator({**message["payload"], "components": document["components"]})
        for example in message["examples"]:
            validator.validate(example["payload"])


def test_there_is_an_example_for_everything() -> None:
    assert set(examples.CLIENT_FRAMES) == {type_of(frame) for frame in CLIENT_FRAMES}
    assert set(examples.EDGE_FRAMES) == {type_of(frame) for frame in EDGE_FRAMES}
    assert set(examples.BODIES) == {body.__name__ for body in BODIES}


def test_the_page_shows_every_frame_every_field_and_every_code() -> None:
    page = text_of("docs/websocket-api.md")
    for frame in (*CLIENT_FRAMES, *EDGE_FRAMES):
        section = page.split(f"\n### {type_of(frame)}\n")[1].split("\n### ")[0]
        for name, about in frame.model_fields.items():
            assert name == "type" or f"\n| `{about.alias or name}`" in section, (type_of(frame), name)
        assert "```json" in section
    for code in (*CloseCode, *ErrorCode):
        assert f"| {code:d} | `{code.slug}` |" in page
    assert "{{" not in page


def test_no_field_is_left_without_a_word() -> None:
    """A row of a table whose last cell is empty would be a field without a meaning."""
    for path, text in DOCUMENTS.items():
        if path.suffix == ".md":
            assert re.findall(r"(?m)^\| .* \|  \|$", text) == [], path


def test_every_link_within_the_page_leads_to_a_heading() -> None:
    page = text_of("docs/websocket-api.md")
    headings = re.findall(r"(?m)^#+ (.+)$", page)
    anchors = {re.sub(r"[^a-z0-9 _-]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]+)\)", page)) - anchors == set()


def test_every_route_is_in_openapi_once() -> None:
    for service, routes in ROUTES.items():
        paths = openapi.document(service, routes)["paths"]
        assert {(route.method, route.path) for route in routes} == {
            (method, path) for path, methods in paths.items() for method in methods
        }
        assert len({route.name for route in routes}) == len(routes)
