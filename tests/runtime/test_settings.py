"""Settings come from the environment; what is wrong with them is said in one sentence."""

import os

import pytest
from pydantic import Field
from pydantic_settings import SettingsConfigDict

from whimbrel.runtime.settings import ListeningSettings, ServiceSettings, load


class EdgeSettings(ListeningSettings):
    model_config = SettingsConfigDict(env_prefix="WHIMBREL_TESTED_")

    port: int = Field(8080, ge=0, le=65535)
    service_key: str = Field("", repr=False, max_length=4)


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("WHIMBREL_"):
            monkeypatch.delenv(name)


def test_the_defaults_run_on_a_laptop() -> None:
    settings = load(EdgeSettings)
    assert settings.nats_url == "nats://127.0.0.1:4222"
    assert (settings.host, settings.port, settings.ops_host) == ("127.0.0.1", 8080, "127.0.0.1")
    assert (settings.log_level, settings.log_format, settings.drain_s) == ("info", "text", 10)


def test_two_processes_of_one_machine_differ_in_their_instance(monkeypatch: pytest.MonkeyPatch) -> None:
    first = load(EdgeSettings).instance
    monkeypatch.setattr(os, "getpid", lambda: 99)
    assert load(EdgeSettings).instance != first


@pytest.mark.parametrize(
    ("name", "value", "field", "expected"),
    [
        ("NATS_URL", "nats://a:b@c:1,nats://d:2", "nats_url", "nats://a:b@c:1,nats://d:2"),
        ("HOST", "0.0.0.0", "host", "0.0.0.0"),
        ("PORT", "0", "port", 0),
        ("OPS_HOST", "::", "ops_host", "::"),
        ("OPS_PORT", "9080", "ops_port", 9080),
        ("INSTANCE", "edge-0", "instance", "edge-0"),
        ("LOG_LEVEL", "debug", "log_level", "debug"),
        ("LOG_FORMAT", "json", "log_format", "json"),
        ("DRAIN_S", "2.5", "drain_s", 2.5),
    ],
)
def test_every_setting_can_be_set(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, field: str, expected: object
) -> None:
    monkeypatch.setenv(f"WHIMBREL_TESTED_{name}", value)
    assert getattr(load(EdgeSettings), field) == expected


def test_an_empty_variable_is_one_that_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHIMBREL_TESTED_PORT", "")
    assert load(EdgeSettings).port == 8080


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        (
            "PORT",
            "http",
            "WHIMBREL_TESTED_PORT: input should be a valid integer, unable to parse string as an integer, not 'http'.",
        ),
        ("PORT", "70000", "WHIMBREL_TESTED_PORT: input should be less than or equal to 65535, not '70000'."),
        ("DRAIN_S", "inf", "WHIMBREL_TESTED_DRAIN_S: input should be a finite number, not 'inf'."),
        ("LOG_FORMAT", "xml", "WHIMBREL_TESTED_LOG_FORMAT: input should be 'text' or 'json', not 'xml'."),
        ("SERVICE_KEY", "secret", "WHIMBREL_TESTED_SERVICE_KEY: string should have at most 4 characters."),
    ],
)
def test_a_wrong_setting_ends_the_process_with_one_sentence_and_no_secret(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str, sentence: str
) -> None:
    monkeypatch.setenv(f"WHIMBREL_TESTED_{name}", value)
    with pytest.raises(SystemExit) as ended:
        load(EdgeSettings)
    assert ended.value.code == 2
    assert capsys.readouterr().err == sentence + "\n"


def test_a_setting_that_does_not_exist_is_refused_and_the_known_ones_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WHIMBREL_TESTED_PROT", "8080")
    monkeypatch.setenv("WHIMBREL_OTHER_PROT", "8080")
    with pytest.raises(SystemExit):
        load(EdgeSettings)
    said = capsys.readouterr().err
    assert said.startswith("WHIMBREL_TESTED_PROT: no such setting; known are WHIMBREL_TESTED_DRAIN_S, ")
    assert "OTHER" not in said


def test_a_service_that_listens_nowhere_cannot_be_told_where(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class QuietSettings(ServiceSettings):
        model_config = SettingsConfigDict(env_prefix="WHIMBREL_TESTED_")

    monkeypatch.setenv("WHIMBREL_TESTED_HOST", "0.0.0.0")
    with pytest.raises(SystemExit):
        load(QuietSettings)
    assert capsys.readouterr().err.startswith("WHIMBREL_TESTED_HOST: no such setting")


def test_neither_the_password_of_the_bus_nor_a_key_is_in_the_repr(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHIMBREL_TESTED_NATS_URL", "nats://edge:hidden@127.0.0.1")
    monkeypatch.setenv("WHIMBREL_TESTED_SERVICE_KEY", "hidn")
    assert "hid" not in repr(load(EdgeSettings))
