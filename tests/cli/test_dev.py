"""`whimbrel dev`: everything on one machine, and nothing left behind."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.support.commandline import whimbrel
from tests.support.dev import WHIMBREL, Development
from whimbrel.cli.dev.child import Child
from whimbrel.cli.dev.parts import Part
from whimbrel.protocol.versions import LAYOUT_VERSION

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux ends children of a killed process")

Start = Callable[..., Development]


def dev(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a `whimbrel dev` that is expected to refuse before it starts anything."""
    return whimbrel("dev", *arguments, check=False)


def one_sentence(done: subprocess.CompletedProcess[str]) -> str:
    """Return what a refused run says: one line, no traceback."""
    [line] = done.stderr.strip().splitlines()
    assert "Traceback" not in done.stdout
    return line


def exists(pid: int) -> bool:
    """Tell whether a process lives; an orphan that nobody has reaped yet does not."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except ProcessLookupError:
        return False
    except FileNotFoundError:
        return not sys.platform.startswith("linux")


def test_tools_are_told_where_everything_is(development: Development) -> None:
    told = development.running
    assert set(told) == {"edge", "edges", "auth", "router", "nats", "nats_servers", "service_key", "ops", "pids"}
    assert told["edges"] == [told["edge"]]
    assert set(told["ops"]) == {"edge", "auth", "router", "notifier"}
    assert set(told["pids"]) == {*told["ops"], "nats"}
    assert all(exists(pid) for pid in told["pids"].values())
    assert told["nats"].startswith("nats://domain:")
    assert development.store.joinpath("dev.json").stat().st_mode & 0o077 == 0


def test_what_is_secret_is_readable_by_its_owner_alone(development: Development) -> None:
    for name in ("secrets.json", "auth-keys.json"):
        assert development.store.joinpath(name).stat().st_mode & 0o077 == 0


def test_each_part_says_when_it_is_ready_and_logs_to_a_file_of_its_own(development: Development) -> None:
    assert {said["part"] for said in development.events("part")} == {"nats", "auth", "router", "notifier", "edge"}
    assert "service.started" in development.log("edge")
    assert "Server is ready" in development.log("nats")


def test_a_second_run_on_the_same_store_is_refused(development: Development) -> None:
    second = dev("--store", str(development.store), "--ports", "0")
    assert second.returncode == 1
    said = one_sentence(second)
    assert "another `whimbrel dev` uses" in said
    assert development.edge in said
    assert "--ports 0 --store DIR" in said


def test_a_taken_port_is_named_with_the_way_out(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = dev("--store", str(tmp_path / "s"), "--no-demo", "--ports", f"edge={port}")
    assert refused.returncode == 1
    assert f"port {port} (edge) is taken" in one_sentence(refused)


def test_a_store_of_another_layout_is_left_alone(tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    store.joinpath("layout.json").write_text('{"layout": 0}')
    refused = dev("--store", str(store), "--ports", "0")
    assert refused.returncode == 1
    assert f"was made by layout 0 and this is layout {LAYOUT_VERSION}" in one_sentence(refused)


def test_a_store_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    tmp_path.joinpath("file").write_text("")
    refused = dev("--store", str(tmp_path / "file"), "--ports", "0")
    assert refused.returncode == 1
    assert "cannot be used as a store" in one_sentence(refused)


def test_ports_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    refused = dev("--store", str(tmp_path / "s"), "--ports", "edge:80")
    assert refused.returncode == 2
    assert "write 0, or name=port" in one_sentence(refused)


def test_a_service_that_cannot_start_ends_the_run_with_its_own_words(tmp_path: Path) -> None:
    refused = subprocess.run(
        [str(WHIMBREL), "dev", "--store", str(tmp_path / "s"), "--ports", "0", "--no-demo"],
        env=os.environ | {"WHIMBREL_EDGE_PING_S": "soon"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert refused.returncode == 1
    assert "edge ended with exit code 2 as it started" in refused.stderr
    assert "WHIMBREL_EDGE_PING_S" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not tmp_path.joinpath("s/dev.json").exists()


def test_two_runs_live_side_by_side_and_ctrl_c_ends_one_with_all_its_children(
    development: Development, start_development: Start
) -> None:
    other = start_development()
    assert other.edge != development.edge
    pids = other.running["pids"]
    assert other.stop(signal.SIGINT) == 0
    assert not any(exists(pid) for pid in pids.values())
    assert not other.store.joinpath("dev.json").exists()
    assert all(exists(pid) for pid in development.running["pids"].values())


def test_several_edges_run_side_by_side_behind_one_address(start_development: Start) -> None:
    running = start_development("--edges", "2")
    told = running.running
    assert len(set(told["edges"])) == 2
    assert told["edge"] not in told["edges"]
    for name in ("edge", "edge-2"):
        assert httpx.get(f"{told['ops'][name]}/ready", trust_env=False).status_code == 200
    left = running.kill("edge-2")
    for _ in range(4):  # what stands in front of them goes to one that lives
        assert httpx.get(f"{told['edge']}/v1/transports", trust_env=False).status_code == 401
    running.until_restarted("edge-2", left)
    assert running.running["pids"]["edge"] == told["pids"]["edge"]


@linux
def test_children_die_with_a_run_that_was_killed_and_the_store_can_be_used_again(start_development: Start) -> None:
    running = start_development()
    pids = running.running["pids"]
    running.stop(signal.SIGKILL)
    assert running.store.joinpath("dev.json").exists()
    again = Development(running.store.parent, "--no-demo").start()
    try:
        assert not any(exists(pid) for pid in pids.values())
        assert again.running["pids"] != pids
        assert [each["line"] for each in again.events("warning") if "Filestore" in each["line"]] == []
        assert sum("nats had" in each["line"] for each in again.events("warning")) <= 1
    finally:
        again.stop()


@pytest.mark.parametrize("name", ["edge", "nats"])
def test_what_dies_is_started_again_and_told_under_its_new_pid(development: Development, name: str) -> None:
    old = development.kill(name)
    development.until_restarted(name, old)
    assert development.running["pids"][name] != old
    assert [died["code"] for died in development.events("died", name)] == [-signal.SIGKILL]


def test_without_restart_a_death_ends_the_run(start_development: Start) -> None:
    running = start_development("--no-restart")
    running.kill("notifier")
    assert running.wait() == 1
    assert "notifier was killed by SIGKILL" in running.output.read_text()


def test_of_what_died_the_complaints_are_shown_and_the_log_is_named(tmp_path: Path) -> None:
    child = Child(Part("edge", ("edge",), {}, ""), tmp_path / "edge.log", lambda line: None)
    for line in (
        "12:00 INFO session.closed",
        "Traceback (most recent call last):",
        "1",
        "12:00 ERROR no",
        "ValueError",
    ):
        child.heed(line)
    assert list(child.complaints) == ["1", "12:00 ERROR no", "ValueError"]


def test_what_nats_says_of_being_asked_too_early_is_not_passed_on(tmp_path: Path) -> None:
    said: list[str] = []
    child = Child(Part("nats", ("nats",), {}, ""), tmp_path / "nats.log", said.append)
    child.heed('[7] [WRN] Healthcheck failed: "failed to be ready for connections after 1ms: server"')
    child.release()
    assert (said, list(child.complaints)) == ([], [])


@pytest.mark.parametrize(("number", "told"), [(1, "1 warning"), (9, "9 warnings")])
def test_warnings_of_a_start_are_one_line_that_counts_them(tmp_path: Path, number: int, told: str) -> None:
    said: list[str] = []
    child = Child(Part("nats", ("nats",), {}, ""), tmp_path / "nats.log", said.append)
    for each in range(number):
        child.heed(f"[WRN] Filestore {each}")
    assert said == []
    child.release()
    assert said == [f"nats had {told} as it started: see {tmp_path / 'nats.log'}"]
    child.heed("[WRN] slow consumer")
    assert said[1:] == ["[WRN] slow consumer"]
