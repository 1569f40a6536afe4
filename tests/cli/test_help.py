"""What the command line says about itself; nothing has to run for it."""

import subprocess

import pytest
from click import Command, Context, Group
from click.testing import CliRunner

from tests.support.dev import WHIMBREL
from whimbrel.cli.__main__ import COMMANDS, main
from whimbrel.cli.commands.inbox import in_seconds
from whimbrel.cli.output import Output
from whimbrel.protocol.limits import MAX_EVENT_BYTES


def every_command() -> list[tuple[str, ...]]:
    paths: list[tuple[str, ...]] = []

    def walk(command: Command, path: tuple[str, ...]) -> None:
        if isinstance(command, Group):
            context = Context(command)
            for name in command.list_commands(context):
                found = command.get_command(context, name)
                assert found is not None
                walk(found, (*path, name))
        else:
            paths.append(path)

    walk(main, ())
    return paths


def test_help_lists_every_command_with_examples() -> None:
    shown = subprocess.run([str(WHIMBREL), "--help"], capture_output=True, text=True, timeout=60, check=True).stdout
    for name in COMMANDS:
        assert f"\n  {name}" in shown
    assert "whimbrel listen --user alice orders:42" in shown
    assert "Exit codes" in shown
    assert "..." not in shown.partition("Commands:")[2], "what a command is for fits in its line"


@pytest.mark.parametrize("path", every_command(), ids=" ".join)
def test_every_command_explains_itself_and_speaks_json(path: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(main, [*path, "--help"])
    assert shown.exit_code == 0
    assert "--json" in shown.output


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_shows_how_it_is_used(name: str) -> None:
    assert f"  whimbrel {name}" in CliRunner().invoke(main, [name, "--help"]).output


def test_an_event_that_is_too_large_is_refused_before_it_is_sent() -> None:
    arguments = ["publish", "events.shop.order.42", "--type", "t", "--data", "-", "--nats", "nats://127.0.0.1:1"]
    refused = CliRunner().invoke(main, arguments, input='"' + "x" * MAX_EVENT_BYTES + '"')
    assert refused.exit_code == 2
    assert f"at most {MAX_EVENT_BYTES}" in refused.output


def test_an_unknown_command_is_a_usage_error() -> None:
    assert CliRunner().invoke(main, ["fly"]).exit_code == 2


def test_no_color_is_honoured_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert Output(as_json=False).bad("x") != "x"
    monkeypatch.setenv("NO_COLOR", "1")
    assert Output(as_json=False).bad("x") == "x"


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("2026-11-24T02:06:47.846591Z", "2026-11-24T02:06:47Z"),
        ("2026-11-24T03:06:49.074000001+01:00", "2026-11-24T02:06:49Z"),
        ("2016-12-31T23:59:60Z", "2016-12-31T23:59:60Z"),
        ("0001-01-01T00:00:00+23:00", "0001-01-01T00:00:00+23:00"),
    ],
)
def test_the_times_of_an_inbox_can_be_compared(written: str, shown: str) -> None:
    assert in_seconds(written) == shown


def test_a_table_aligns_words_left_and_numbers_right(capsys: pytest.CaptureFixture[str]) -> None:
    Output(as_json=False).table(("NAME", "COUNT"), [("a", 7), ("long name", 1200)])
    assert capsys.readouterr().out.splitlines() == ["NAME       COUNT", "a              7", "long name   1200"]


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        (["withdraw", "events.shop.order.47"], "--event ID, or --topic"),
        (["withdraw", "events.shop.order.47", "--event", "1", "--topic", "a"], "--event ID, or --topic"),
        (["withdraw", "events.shop.order.47", "--topic", "a b"], "'a b' is not 1 to 64"),
        (["publish", "events.shop.order.47", "--type", "t", "--topic", "x" * 65], "is not 1 to 64"),
        (["publish", "events.shop.order.47", "--type", "t", "--ttl", "8d"], "not within 1 s and 7 days"),
        (["publish", "events.shop.order.47", "--type", "t", "--ttl", "0s"], "not within 1 s and 7 days"),
        (["publish", "events.shop.order.47", "--type", "t", "--ttl", "soon"], "is no span of time"),
        (["publish", "events.shop.order.47", "--type", "t", "--time", "noon"], "'noon' is not RFC 3339"),
        (["publish", "events.shop.order.47", "--type", "t", "--time", "2026-11-23T06:00:00"], "is not RFC 3339"),
        (["publish", "events.shop.order.47", "--type", "t", "--time", "2026-11-23T06:00Z"], "2026-11-23T06:00:00Z"),
        (["inbox"], "say whose"),
        (["inbox", "--user", "alice", "--token", "t"], "say whose"),
        (["inbox", "--user", "alice", "--limit", "201"], "201 is not in the range"),
    ],
)
def test_what_cannot_be_meant_of_an_inbox_is_refused_before_anything_is_asked(wrong: list[str], hint: str) -> None:
    refused = CliRunner().invoke(main, wrong)
    assert (refused.exit_code, hint in refused.output) == (2, True), refused.output


@pytest.mark.parametrize(
    ("command", "url"),
    [
        (("publish", "events.shop.order.47", "--type", "t", "--nats"), "nats://domain:hush-1@127.0.0.1:port"),
        (("publish", "events.shop.order.47", "--type", "t", "--nats"), "nats://domain:hush-1/2@127.0.0.1:4222"),
        (("publish", "events.shop.order.47", "--type", "t", "--nats"), "nats://domain:hush-1@127.0.0.1:1"),
        (("publish", "events.shop.order.47", "--type", "t", "--nats"), "nats://a,nats://domain:hush-1@127.0.0.1:port"),
        (("status", "--service-key", "k", "--router"), "http://operator:hush-1@127.0.0.1:1"),
        (("status", "--service-key", "k", "--router"), "http://operator:hush,hush-2@127.0.0.1:1"),
    ],
)
def test_no_password_of_an_address_is_shown(command: tuple[str, ...], url: str) -> None:
    refused = CliRunner().invoke(main, [*command, url])
    assert refused.exit_code in (2, 3)
    assert "127.0.0.1" in refused.output
    assert "hush" not in refused.output


def test_a_user_who_is_named_wins_over_the_token_of_the_environment() -> None:
    named = ["inbox", "--user", "alice", "--service-key", "k", "--auth", "http://127.0.0.1:1"]
    refused = CliRunner().invoke(main, named, env={"WHIMBREL_TOKEN": "bob's"})
    assert (refused.exit_code, "is it running?" in refused.output) == (3, True), refused.output
