"""`whimbrel gaps` against real processes: a client is told to reload, and on call sees why."""

import json
import subprocess

from tests.support.dev import WHIMBREL, Development


def test_on_call_sees_who_was_told_to_reload_and_why(development: Development) -> None:
    none = development.whimbrel("gaps", "--user", "gaps-alice").stdout
    assert "no client was told to reload in the last 1h" in none
    listen = [str(WHIMBREL), "listen", "orders:42", "--user", "gaps-alice", "--json", "--store", str(development.store)]
    with subprocess.Popen([*listen, "--position", "of-another-life:7"], stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout is not None
        while json.loads(client.stdout.readline())["type"] != "subscribed":
            pass

        def told(*sought: str) -> list[dict[str, object]]:
            done = development.whimbrel("gaps", "--json", *sought)
            return [json.loads(line) for line in done.stdout.splitlines()]

        development.until(lambda: bool(told("--user", "gaps-alice")), "the gap is told", 20)
        client.kill()
    [gap] = told("--since", "10m", "--channel", "orders:42", "--cause", "epoch")
    assert (gap["cause"], gap["user"], gap["asked"]) == (
        "epoch",
        "gaps-alice",
        {"epoch": "of-another-life", "offset": 7},
    )
    assert development.whimbrel("why", str(gap["session"])).returncode == 0
    shown = development.whimbrel("gaps").stdout
    assert "of-another-life:7" in shown
    assert "epoch: 1" in shown
    assert "restored from a backup" in shown


def test_an_inbox_needs_its_owner_and_a_span_its_unit(development: Development) -> None:
    assert development.whimbrel("gaps", "--channel", "inbox", check=False).returncode == 2
    assert development.whimbrel("gaps", "--since", "soon", check=False).returncode == 2
    assert development.whimbrel("gaps", "--channel", "inbox", "--user", "gaps-alice").returncode == 0
