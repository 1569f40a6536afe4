"""Each member stands alone: typed, with what it imports declared and what it declares locked."""

import ast
import re
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions

import pytest
from packaging.utils import canonicalize_name

from tests.architecture.tree import ROOT, Member, members, parsed, tracked

MEMBERS = members()
PROVIDERS = packages_distributions()
every_member = pytest.mark.parametrize("member", MEMBERS, ids=lambda member: member.name)


def imports_of(member: Member) -> set[str]:
    """Return what ``member`` imports from outside itself and the standard library, by absolute name."""
    names: set[str] = set()
    for path in member.modules:
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Import):
                names.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module == "whimbrel":
                names.update(f"whimbrel.{alias.name}" for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                names.add(node.module)
    return {
        name
        for name in names
        if name.partition(".")[0] not in sys.stdlib_module_names and not f"{name}.".startswith(f"{member.package}.")
    }


def literals_of(member: Member) -> set[str]:
    nodes = (node for path in member.modules for node in ast.walk(parsed(path)))
    return {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def distributions_of(name: str) -> set[str]:
    """Return the distributions that may provide module ``name``: several for a namespace such as ``opentelemetry``."""
    for member in MEMBERS:
        if f"{name}.".startswith(f"{member.package}."):
            return {member.name}
    top = name.partition(".")[0]
    return {canonicalize_name(distribution) for distribution in PROVIDERS.get(top, [])}


def locked() -> Iterator[tuple[str, str]]:
    for match in re.finditer(r"(?m)^([\w.-]+)==([^ ;\\]+)", (ROOT / "requirements.lock").read_text()):
        yield canonicalize_name(match[1]), match[2]


@every_member
def test_a_member_is_typed_and_its_namespace_stays_open(member: Member) -> None:
    assert (member.portion / "py.typed").is_file()
    assert (member.portion / "__init__.py").is_file()


def test_nobody_closes_the_namespace() -> None:
    """One ``whimbrel/__init__.py`` would make every other member unimportable."""
    assert [path for path in tracked() if path.match("whimbrel/__init__.py")] == []


@every_member
def test_a_member_imports_only_what_it_declares(member: Member) -> None:
    undeclared = {name for name in imports_of(member) if not distributions_of(name) & member.dependencies.keys()}
    assert undeclared == set()


@every_member
def test_a_member_declares_only_what_it_imports(member: Member) -> None:
    names = imports_of(member) | literals_of(member)  # uvicorn imports its parser by name: http="httptools"
    used = {distribution for name in names for distribution in distributions_of(name)}
    assert member.dependencies.keys() - used == set()


@every_member
def test_what_a_member_declares_is_locked_in_a_version_that_suits(member: Member) -> None:
    versions = dict(locked())
    workspace = {member.name for member in MEMBERS}
    unsuited = [
        str(requirement)
        for name, requirement in member.dependencies.items()
        if name not in workspace and not requirement.specifier.contains(versions.get(name, "none locked: make lock"))
    ]
    assert not unsuited, "\n".join(unsuited)
