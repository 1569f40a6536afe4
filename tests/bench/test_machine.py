"""What a figure was measured on."""

import sysconfig

import pytest

from bench.machine import Machine


@pytest.mark.parametrize(
    ("configured", "told"),
    [
        ("'--enable-optimizations' '--with-lto'", "with PGO and LTO"),
        ("'--enable-optimizations'", "with PGO"),
        ("", "without PGO and LTO"),
    ],
)
def test_the_facts_say_how_the_interpreter_was_compiled(
    monkeypatch: pytest.MonkeyPatch, configured: str, told: str
) -> None:
    monkeypatch.setattr("sys.base_prefix", "/opt/python")
    monkeypatch.setattr(sysconfig, "get_config_var", {"CONFIG_ARGS": configured}.get)
    assert f", {told}), load average" in str(Machine.here())


def test_a_distribution_does_not_say_how_it_compiled_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.base_prefix", "/usr")
    assert ", the system's own build), load average" in str(Machine.here())
