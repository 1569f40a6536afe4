"""The commands against real services."""

import json
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.commandline import ROOT, whimbrel
from tests.support.dev import WHIMBREL, Development


def said(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    """Return the JSON lines of a command."""
    return [json.loads(line) for line in done.stdout.splitlines()]


@contextmanager
def listening(development: Development, *arguments: str) -> Iterator["Listener"]:
    """Run `whimbrel listen --json …` until its channel is open."""
    command = [str(WHIMBREL), "listen", "--json", "--store", str(development.store), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            listener = Listener(process)
            listener.until("subscribed")
            yield listener
        finally:
            process.kill()


class Listener:
    """A `whimbrel listen` at work."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def until(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Return the next line of this kind with these fields."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            value: dict[str, Any] = json.loads(line)
            if value["type"] == kind and fields.items() <= value.items():
                return value
        raise AssertionError(f"it ended without {kind} {fields}")

    def ends(self) -> int:
        return self._process.wait(timeout=20)


def test_a_token_is_printed_alone_for_scripts_and_with_all_else_as_json(development: Development) -> None:
    token = development.whimbrel("token", "--user", "alice", "--group", "vip").stdout
    assert token.count(".") == 2
    assert token.count("\n") == 1
    [tokens] = said(development.whimbrel("token", "--user", "alice", "--ttl", "60", "--json"))
    assert (tokens["token_type"], tokens["expires_in"]) == ("Bearer", 60)


@pytest.mark.parametrize("transport", ["websocket", "sse", "poll"])
def test_an_event_is_heard_by_who_listens(development: Development, transport: str) -> None:
    channel = f"orders:cli-{transport}"
    with listening(development, "--user", "alice", channel, "--transport", transport, "--count", "1") as listener:
        subject = f"events.shop.order.cli-{transport}"
        [stored] = said(development.whimbrel("publish", subject, "--type", "t", "--data", "[1]", "--json"))
        heard = listener.until("publication")
        assert (heard["channel"], heard["event"], heard["data"]) == (channel, "t", [1])
        assert heard["event_id"] == stored["id"]
        assert listener.ends() == 0


def test_who_begins_at_a_position_hears_all_that_came_behind_it(development: Development) -> None:
    for number in range(3):
        development.whimbrel("publish", "events.shop.order.cli-position", "--type", "t", "--data", str(number))
    listen = ("listen", "orders:cli-position", "--json")
    newest = development.whimbrel(*listen, "--user", "alice", "--last", "3", "--count", "3")
    first, *_ = [line for line in said(newest) if line["type"] == "publication"]
    again = said(development.whimbrel(*listen, "--user", "bob", "--position", first["position"], "--count", "2"))
    assert [line["data"] for line in again if line["type"] == "publication"] == [1, 2]


def test_a_repeat_of_an_event_is_stored_once(development: Development) -> None:
    arguments = ("publish", "events.shop.order.cli-repeat", "--type", "t", "--id", "same", "--json")
    first, second = (said(development.whimbrel(*arguments))[0] for _ in range(2))
    assert (first["duplicate"], second["duplicate"]) == (False, True)
    assert first["sequence"] == second["sequence"]


def test_an_audience_is_reached_besides_whom_the_routes_name(development: Development) -> None:
    development.whimbrel("publish", "events.shop.order.cli-audience", "--type", "t", "--users", "carol,dave")
    heard = said(development.whimbrel("listen", "--user", "dave", "--count", "1", "--json"))
    assert heard[-1]["channel"] == "inbox"


def test_members_of_a_group_are_added_listed_and_removed(development: Development) -> None:
    development.whimbrel("groups", "add", "staff", "alice", "bob")
    assert development.whimbrel("groups", "list", "--group", "staff").stdout.split() == ["alice", "bob"]
    development.whimbrel("groups", "remove", "staff", "bob")
    assert said(development.whimbrel("groups", "list", "--user", "bob", "--json")) == [{"user": "bob", "groups": []}]


def test_what_cannot_be_routed_is_listed_shown_replayed_and_dropped(development: Development) -> None:
    def listed(*filters: str) -> list[dict[str, Any]]:
        return said(development.whimbrel("dlq", "list", "--json", *filters))

    for number in (1, 2):
        development.whimbrel("publish", f"events.nowhere.thing.{number}", "--type", "t")
    development.until(lambda: len(listed("--subject", "events.nowhere.>")) == 2, "both dead letters", 20)
    first, second = listed("--subject", "events.nowhere.>", "--code", "unroutable")
    assert (first["subject"], first["code"]) == ("events.nowhere.thing.1", "unroutable")
    assert "unroutable" in development.whimbrel("dlq", "list").stdout
    half = development.whimbrel("dlq", "list", "--subject", "events.nowhere.>", "--limit", "1").stdout
    assert f"dlq list --after {first['sequence']} --limit 1 --subject 'events.nowhere.>'" in half
    shown = development.whimbrel("dlq", "show", str(first["sequence"])).stdout
    assert all(word in shown for word in ("events.nowhere.thing.1", first["reason"], "ce-type: t"))

    replayed = development.whimbrel("dlq", "replay", "--subject", "events.nowhere.>").stdout.splitlines()
    assert len(replayed) == 2
    assert replayed[0].startswith(f"{first['sequence']} is published again as event ")
    development.until(lambda: len(listed("--subject", "events.nowhere.*.*")) == 2, "they are back: no route yet", 20)
    assert listed("--subject", "events.nowhere.>")[0]["sequence"] > second["sequence"]

    development.whimbrel("dlq", "drop", "--code", "unroutable", "--yes")
    assert listed("--code", "unroutable") == []
    assert development.whimbrel("dlq", "drop", "--all").stdout == "no dead letters match\n"
    gone = development.whimbrel("dlq", "replay", str(first["sequence"]), check=False)
    assert (gone.returncode, "there is no dead letter" in gone.stdout) == (1, True)


def test_status_shows_services_streams_and_lag(development: Development) -> None:
    shown = development.whimbrel("status").stdout
    for word in ("edge", "auth", "router", "notifier", "EVENTS", "HISTORY_7", "PENDING", "dead letters"):
        assert word in shown
    [status] = said(development.whimbrel("status", "--json"))
    assert {each["service"] for each in status["services"]} == {"edge", "auth", "router", "notifier"}
    assert len(status["lag"]) == 8


@pytest.mark.parametrize("name", ["edge", "notifier"])
def test_a_service_that_hangs_is_shown_and_fails_the_command(development: Development, name: str) -> None:
    development.kill(name, signal.SIGSTOP)
    try:
        shown = development.whimbrel("status", check=False)
        told = development.whimbrel("status", "--json", check=False)
    finally:
        development.kill(name, signal.SIGCONT)
    assert (shown.returncode, told.returncode) == (1, 1)
    assert any(line.startswith(name) and "does not answer" in line for line in shown.stdout.splitlines())
    [service] = [each for each in said(told)[0]["services"] if each["service"] == name]
    assert (service["ready"], service["reasons"]) == (False, ["does not answer"])
    # Within 60 s: on a busy machine a pod that stood still sheds load until it has been calm for 30 s.
    development.until(lambda: not development.whimbrel("status", check=False).returncode, "all answer again", 60)


def test_a_part_can_be_made_to_stand_still_and_go_on(development: Development) -> None:
    stopped = said(development.whimbrel("kill", "auth", "--signal", "stop", "--json"))
    try:
        assert development.whimbrel("status", check=False).returncode == 1
    finally:
        development.whimbrel("kill", "auth", "--signal", "cont")
    assert stopped == [{"part": "auth", "pid": development.running["pids"]["auth"], "signal": "SIGSTOP"}]
    unknown = development.whimbrel("kill", "fridge", check=False)
    assert (unknown.returncode, "say one of edge, auth" in unknown.stderr) == (2, True)


def test_connections_are_counted_by_transport(development: Development) -> None:
    with listening(development, "--user", "alice", "--transport", "websocket"):
        assert "1 websocket" in development.whimbrel("status").stdout


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("publish", "events.shop.order", "--type", "t"), 2, "is not events.<domain>.<entity>.<id>"),
        (("publish", "events.shop.order.4*", "--type", "t"), 2, "without dots, blanks, * and >"),
        (("publish", "events.shop.order.42", "--type", "t", "--data", "{"), 2, "--data is not JSON"),
        (("publish", "events.shop.order.42", "--type", "t", "--channels", "o.42"), 2, "is not a channel"),
        (("publish", "events.shop.order.42", "--type", "a\nb"), 2, "printable"),
        (("publish", "events.shop.order.42", "--type", "t", "--nats", "nats://127.0.0.1:1"), 3, "is it running?"),
        (("token", "--user", "alice", "--service-key", "wrong"), 1, "unauthorized); say the one that it was started"),
        (("inbox", "--token", "forged"), 1, "take a fresh one: `whimbrel token"),
        (("gaps", "--channel", "orders"), 2, "is not a channel"),
        (("token", "--user", "alice", "--auth", "http://127.0.0.1:1"), 3, "is it running?"),
        (("token", "--user", "alice", "--grant", "no channel"), 2, "no token can be made of this"),
        (("token", "--user", "alice", "--grant", "**"), 2, "--grant is a channel"),
        (("token", "--user", ""), 2, "--user has 1 to 512 characters"),
        (("status", "--router", "nonsense"), 2, "--router 'nonsense' is not an address; write http://HOST:PORT"),
        (("publish", "events.shop.order.42", "--type", "t", "--nats", "http://x"), 2, "write nats://HOST:PORT"),
        (("listen", "orders:42"), 2, "say whose: --user alice, or --token"),
        (("listen", "--user", "alice", "orders 42"), 2, "is not a channel"),
        (("listen", "--user", "alice", "orders:42", "--position", "7"), 2, "write epoch:offset"),
        (("listen", "--user", "alice", "a:1", "b:1", "--position", "e:7"), 2, "name exactly one"),
        (("listen", "--user", "alice", "nowhere:1"), 1, "102 unknown_channel"),
        (("listen", "--token", "forged", "orders:42"), 1, "4501"),
        (("groups", "list"), 2, "say whose"),
        (("groups", "add", "shop/staff", "alice"), 2, "'shop/staff' has a slash"),
        (("groups", "list", "--group", "shop/staff"), 2, "'shop/staff' has a slash"),
        (("kill", "leader"), 2, "one NATS server has no leader"),
        (("why",), 2, "say what: a session, or --user"),
        (("why", "p3Vw", "--user", "alice"), 2, "say what: a session, or --user"),
        (("why", "p3Vw"), 1, "bore this name: ask for the sessions of its user"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_sentence_with_an_exit_code(
    development: Development, arguments: tuple[str, ...], code: int, sentence: str
) -> None:
    done = development.whimbrel(*arguments, check=False)
    assert sentence in done.stderr
    assert done.returncode == code
    assert len(done.stderr.strip().splitlines()) == 1
    assert "Traceback" not in done.stderr


def test_a_refusal_by_nats_is_told_from_its_absence(development: Development) -> None:
    wrong = re.sub(r"//.*@", "//domain:wrong@", development.nats)
    done = development.whimbrel("publish", "events.shop.order.42", "--type", "t", "--nats", wrong, check=False)
    assert (done.returncode, "are user and password in --nats right?" in done.stderr) == (3, True)


def test_addresses_can_be_told_by_options_and_environment(development: Development, tmp_path: Path) -> None:
    told = {"WHIMBREL_AUTH": development.auth, "WHIMBREL_SERVICE_KEY": development.service_key}
    assert whimbrel("token", "--user", "alice", environment=told, folder=tmp_path).stdout.count(".") == 2
    options = ("--auth", development.auth, "--service-key", development.service_key)
    assert whimbrel("token", "--user", "alice", *options, folder=tmp_path).stdout.count(".") == 2


def test_without_anything_running_the_way_out_is_named(tmp_path: Path) -> None:
    done = whimbrel("status", check=False, folder=tmp_path)
    assert done.returncode == 3
    assert "where is Whimbrel?" in done.stderr
    assert "--router" in done.stderr
    assert "--store" in done.stderr
    assert "/nonexistent/dev.json" in whimbrel("status", "--store", "/nonexistent", check=False, folder=tmp_path).stderr
    nonsense = whimbrel("status", "--router", "nonsense", check=False, folder=tmp_path)
    assert (nonsense.returncode, "is not an address" in nonsense.stderr) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "code"), [(("status", "--json"), 3), (("--json", "status"), 3), (("token", "--json"), 2)]
)
def test_with_json_a_failure_is_one_object_with_the_same_exit_code(
    tmp_path: Path, arguments: tuple[str, ...], code: int
) -> None:
    done = whimbrel(*arguments, check=False, folder=tmp_path)
    assert (done.returncode, done.stdout) == (code, "")
    told = json.loads(done.stderr)
    assert set(told) == {"error", "advice"}
    assert all(told.values())


def test_a_bus_that_hangs_is_said_to_be_silent(development: Development) -> None:
    with socket.create_server(("127.0.0.1", 0)) as hung:
        address = f"nats://127.0.0.1:{hung.getsockname()[1]}"
        publish = ("publish", "events.shop.order.42", "--type", "t", "--nats", address)
        done = development.whimbrel(*publish, check=False)
    assert done.returncode == 3
    assert f"does not answer at {address} within" in done.stderr


def test_json_may_stand_before_the_command(development: Development) -> None:
    assert said(whimbrel("--json", "token", "--user", "alice", "--store", str(development.store)))


def test_the_dev_file_is_found_from_a_directory_below(development: Development, tmp_path: Path) -> None:
    tmp_path.joinpath(".whimbrel").symlink_to(development.store)
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    assert whimbrel("token", "--user", "alice", folder=below).stdout.count(".") == 2
