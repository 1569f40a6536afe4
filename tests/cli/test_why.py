"""`whimbrel why` against real processes: sessions that live, that ended, and that died with their edge."""

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.support.dev import WHIMBREL, Development
from whimbrel.cli.commands.why import trouble
from whimbrel.protocol.bodies import SessionReply
from whimbrel.protocol.sessions import SessionRecord


@contextmanager
def listening(development: Development, user: str) -> Iterator[subprocess.Popen[str]]:
    """Be ``user`` on a WebSocket until killed, or the end of the block."""
    command = [str(WHIMBREL), "listen", "--json", "--user", user, "--transport", "websocket"]
    with subprocess.Popen(
        [*command, "--store", str(development.store)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        while json.loads(process.stdout.readline())["type"] != "subscribed":
            pass
        yield process
        process.kill()


def sessions(development: Development, user: str) -> list[dict[str, Any]]:
    done = development.whimbrel("why", "--user", user, "--json")
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
    ("times", "said"),
    [(0, []), (1, ["fell behind once"]), (7, ["fell behind 7 times"])],
    ids=("never", "once", "often"),
)
def test_how_often_a_session_fell_behind_is_said_as_people_say_it(times: int, said: list[str]) -> None:
    record = SessionRecord(
        pod="edge-1", session="s1", user="alice", transport="websocket", opened_at=1000.0, fell_behind=times
    )
    reply = SessionReply(record=record, fate="open", slug="open", advice="", pod_heard_at=None)
    assert trouble(reply) == said


def test_a_session_is_followed_from_its_beginning_to_its_end(development: Development) -> None:
    with listening(development, "why-alice") as client:
        [living] = sessions(development, "why-alice")
        assert living["fate"] == "open"
        name = living["record"]["session"]
        shown = development.whimbrel("why", name).stdout
        assert f"{name} of why-alice is open: open" in shown
        client.kill()
        development.until(lambda: sessions(development, "why-alice")[0]["fate"] == "ended", "the end is known", 20)
    shown = development.whimbrel("why", name).stdout
    assert f"{name} of why-alice ended: network" in shown
    assert "1 received, 1 sent" in shown
    assert "by websocket on edge" in shown


def test_a_session_is_known_after_its_edge_was_killed(development: Development) -> None:
    with listening(development, "why-bob"):
        assert [each["fate"] for each in sessions(development, "why-bob")] == ["open"]
        old = development.kill("edge", signal.SIGKILL)
        development.until_restarted("edge", old)

        def fates() -> list[str]:
            return [each["fate"] for each in sessions(development, "why-bob")]

        development.until(lambda: "vanished" in fates(), "the killed edge's session is missed", 20)
        development.until(lambda: "open" in fates(), "the client is back", 20)
        assert "died or was cut off" in development.whimbrel("why", "--user", "why-bob").stdout
