"""No name twice, no name that says nothing, nothing that belongs to one machine."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.tree import ROOT, lines_with, members, parsed, tracked

SUBJECT = re.compile(r"(events|pub|live|dlq|rpc|ctl|pres)\.[^\s/]*|HISTORY_\d*|KV_[A-Z]*|EVENTS|DLQ")
LOGGED = {"debug", "info", "warning", "error", "exception"}  # their first argument names a log event, not a subject
EMPTY_WORDS = {"manager", "handler", "helper", "util", "utils", "common", "base", "data", "info", "misc", "processor"}
WHIMBREL = [member for member in members() if member.portion.parent.name == "whimbrel"]
MODULES = [path for member in WHIMBREL for path in member.modules]


def literals(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and text of the string literals of ``path``, without docstrings and names of log events."""
    tree = parsed(path)
    passed_over: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            passed_over.add(id(node.value))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LOGGED:
            passed_over.update(id(argument) for argument in node.args)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in passed_over:
            yield node.lineno, node.value


def words(name: str) -> set[str]:
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)}


def test_subjects_and_streams_are_spelt_in_one_module() -> None:
    elsewhere = [
        f"{path.relative_to(ROOT)}:{line}: {text}"
        for path in MODULES
        if path.name != "subjects.py"
        for line, text in literals(path)
        if SUBJECT.fullmatch(text)
    ]
    assert not elsewhere, "\n".join(elsewhere)


def test_every_module_and_class_has_a_name_that_says_something() -> None:
    empty = [str(path.relative_to(ROOT)) for path in MODULES if words(path.stem) & EMPTY_WORDS]
    for path in MODULES:
        classes = [node.name for node in ast.walk(parsed(path)) if isinstance(node, ast.ClassDef)]
        empty += [f"{path.relative_to(ROOT)}: {name}" for name in classes if words(name) & EMPTY_WORDS]
    assert not empty, "\n".join(empty)


def test_no_file_knows_the_machine_it_was_written_on() -> None:
    paths = lines_with(re.compile(r"(^|[^\w.-])/(root|home|Users|work)/"), tracked())
    assert not paths, "\n".join(paths)


@pytest.mark.parametrize("lock", ["requirements.lock", "clients/js/package-lock.json", "bench/peers/package-lock.json"])
def test_a_lock_names_hashes_and_no_addresses(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert "://" not in text
    assert "sha256:" in text or '"integrity": "sha512-' in text


def test_no_test_sleeps() -> None:
    sleeps = lines_with(re.compile(r"\bsleep\((0\.[1-9]|[1-9])"), tracked("tests/*.py"))
    assert not sleeps, "\n".join(sleeps)
