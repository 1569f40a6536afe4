"""What is printed to be typed works as printed."""

from pathlib import Path

import pytest

from whimbrel.cli.invocation import invocation


@pytest.fixture
def nothing_on_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("PATH", "")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_program_below_this_directory_is_named_as_it_is_reached_from_here(
    nothing_on_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", [str(nothing_on_path / ".venv/bin/whimbrel")])
    assert invocation("status") == ".venv/bin/whimbrel status"
    monkeypatch.setattr("sys.argv", ["/opt/a b/whimbrel"])
    assert invocation("status") == "'/opt/a b/whimbrel' status"


def test_a_program_on_the_path_is_named_alone(nothing_on_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = nothing_on_path / "whimbrel"
    program.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(nothing_on_path))
    monkeypatch.setattr("sys.argv", [str(program)])
    assert invocation("status") == "whimbrel status"


def test_another_store_is_named(nothing_on_path: Path) -> None:
    assert invocation("status", Path("a b")).endswith("status --store 'a b'")
