"""`whimbrel migrate`, `backup` and `restore`: work on a store in which nothing runs."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.commandline import whimbrel
from tests.support.dev import Development
from tests.support.waiting import within
from whimbrel.cli.dev import upkeep
from whimbrel.cli.dev.parts import Part
from whimbrel.cli.dev.store import Store
from whimbrel.cli.output import Output
from whimbrel.protocol.versions import LAYOUT_VERSION


def test_a_store_is_backed_up_and_restored_into_another(
    start_development: Callable[..., Development], tmp_path: Path
) -> None:
    running = start_development()
    running.whimbrel("publish", "events.shop.order.1", "--type", "order.placed")
    running.whimbrel("listen", "--user", "alice", "orders:1", "--last", "1", "--count", "1")
    busy = whimbrel("backup", str(tmp_path / "busy"), "--store", str(running.store), check=False)
    assert (busy.returncode, "another `whimbrel dev` uses" in busy.stderr) == (1, True)
    assert busy.stderr.endswith("; stop it\n")
    running.stop()

    folder, other = tmp_path / "backup", tmp_path / "other"
    written = whimbrel("backup", str(folder), "--store", str(running.store), check=False)
    assert written.stdout.splitlines()[-1] == f"the backup in {folder} is complete"
    assert folder.stat().st_mode & 0o077 == 0, "inboxes and signing keys are nobody else's"
    again = whimbrel("backup", str(folder), "--store", str(running.store), check=False)
    assert (again.returncode, "name a folder that does not exist" in again.stderr) == (1, True)
    made = whimbrel("restore", str(folder), "--store", str(other), check=False)
    assert (made.returncode, "EVENTS: 1 messages" in made.stdout) == (0, True)
    current = whimbrel("migrate", "--store", str(other), check=False)
    assert (current.returncode, current.stdout) == (0, f"layout {LAYOUT_VERSION} is complete\n")


def test_a_store_without_streams_cannot_be_migrated_or_backed_up(tmp_path: Path) -> None:
    refused = whimbrel("migrate", "--store", str(tmp_path / "new"), check=False)
    assert (refused.returncode, "has no streams yet" in refused.stderr) == (1, True)
    failed = whimbrel("backup", str(tmp_path / "none"), "--store", str(tmp_path / "new"), check=False)
    assert (failed.returncode, "has no streams yet" in failed.stderr) == (1, True)
    assert not (tmp_path / "none").exists(), "the next try may use the same folder"


def test_a_store_with_streams_of_two_clusters_is_backed_up_only_if_one_is_named(tmp_path: Path) -> None:
    store = Store(tmp_path / "both")
    for servers in (1, 3):
        store.streams(servers, "nats").mkdir(parents=True)
    store.stamp()
    refused = whimbrel("backup", str(tmp_path / "backup"), "--store", str(store.root), check=False)
    assert refused.returncode == 1
    assert "has streams of so many servers: 1, 3" in refused.stderr
    assert "--nats-servers" in refused.stderr


AT_WORK = """
import os, pathlib, signal, sys
def cleaned_up(*_):
    pathlib.Path(sys.argv[1]).touch()
    sys.exit(130)
signal.signal(signal.SIGINT, signal.SIG_IGN)  # it has begun to clean up
signal.signal(signal.SIGTERM, cleaned_up)
print(os.getpid(), flush=True)
signal.pause()
"""


async def test_who_presses_ctrl_c_waits_until_the_work_has_cleaned_up(tmp_path: Path) -> None:
    said: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    class Heard(Output):
        def say(self, text: str, record: object = None) -> None:
            said.set_result(int(text))

    router = Part("router", (sys.executable, "-c", AT_WORK), {}, "")
    working = asyncio.create_task(upkeep.run(router, (str(tmp_path / "clean"),), Heard(as_json=False)))
    pid = await within(said)
    working.cancel()
    for _ in range(5):
        await asyncio.sleep(0)
    ended = working.done()
    os.kill(pid, signal.SIGTERM)
    with pytest.raises(asyncio.CancelledError):
        await within(working)
    assert (ended, (tmp_path / "clean").exists()) == (False, True), "NATS is stopped next"
