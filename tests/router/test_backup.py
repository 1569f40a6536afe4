"""A backup is made while everything runs, and restored into an installation that has nothing: on a real bus."""

import asyncio
import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.bus import SERVICE_KEY, Connect
from tests.support.nats import PARTITIONS, NatsServer
from tests.support.waiting import DEADLINE_S, within
from whimbrel.protocol import subjects
from whimbrel.router.shell.backup import MANIFEST, backup, restore
from whimbrel.runtime import catalogue, jetstream
from whimbrel.runtime.directget import DirectGet
from whimbrel.runtime.errors import JetStreamRefused, NoResponders, RequestTimeout, StartRefused
from whimbrel.runtime.nats import Connection, Delivery

MADE_AT, RESTORED_AT = 1_795_426_200, 1_795_430_000
EVENTS = 40
HANDLED = 5
CONSUMER = "notifier_3"


@pytest.fixture
async def bus(connect: Connect) -> Connection:
    return await connect("router")


@pytest.fixture
async def installation(bus: Connection, connect: Connect) -> Connection:
    """Streams with something in each kind, and a consumer of which some events are acknowledged."""
    await jetstream.declare(bus, partitions=PARTITIONS, replicas=1)
    notifier, team = await connect("notifier"), await connect("domain")
    for number in range(200):
        await jetstream.publish(notifier, f"pub.orders.{number % 7}", b"x" * 5_000, {"Nats-Msg-Id": str(number)})
    await jetstream.publish(bus, subjects.key_subject(subjects.GROUPS, "alice.vip"), b"{}")
    for number in range(EVENTS):
        await jetstream.publish(team, "events.shop.order.7", b"%d" % number)
    config = {"name": CONSUMER, "durable_name": CONSUMER, "ack_policy": "explicit"}
    await jetstream.request(
        bus, f"CONSUMER.CREATE.{subjects.EVENTS}.{CONSUMER}", {"stream_name": subjects.EVENTS, "config": config}
    )
    for _ in range(HANDLED):
        await handle_one(bus)
    return bus


async def next_event(bus: Connection) -> Delivery:
    """Pull one event; it arrives under its own subject, not under that of a reply."""
    arrived: asyncio.Future[Delivery] = asyncio.get_running_loop().create_future()
    subscription = await bus.subscribe("_INBOX.router.pulled", arrived.set_result)
    bus.send(f"$JS.API.CONSUMER.MSG.NEXT.{subjects.EVENTS}.{CONSUMER}", b"", reply="_INBOX.router.pulled")
    event = await within(arrived)
    subscription.detach()
    return event


async def handle_one(bus: Connection) -> None:
    await bus.request((await next_event(bus)).reply, b"+ACK", timeout=5)


async def contents(bus: Connection) -> dict[str, list[tuple[int, str, bytes]]]:
    found = {}
    for config in catalogue.streams(partitions=PARTITIONS, replicas=1):
        messages = (await DirectGet(bus).batch(config["name"], None, 1)).messages
        found[config["name"]] = [(each.seq, each.subject, each.payload) for each in messages]
    return found


async def destroy(bus: Connection) -> None:
    for config in catalogue.streams(partitions=PARTITIONS, replicas=1):
        await jetstream.request(bus, f"STREAM.DELETE.{config['name']}")


async def saved(bus: Connection, folder: Path) -> Path:
    said = [line async for line in backup(bus, folder, now=MADE_AT)]
    assert said[-1] == f"the backup in {folder} is complete"
    return folder


async def restored(bus: Connection, folder: Path) -> list[str]:
    return [line async for line in restore(bus, folder, now=RESTORED_AT, replicas=1)]


async def test_everything_is_back_with_new_epochs(installation: Connection, tmp_path: Path) -> None:
    before, layout = await contents(installation), await jetstream.layout(installation)
    folder = await saved(installation, tmp_path)
    await destroy(installation)
    assert (await restored(installation, folder))[-1] == "everything is restored, with new epochs"
    assert await contents(installation) == before
    again = await jetstream.layout(installation)
    assert set(again.epochs).isdisjoint(layout.epochs)
    assert (again.events_epoch, again.restored_at) == (layout.events_epoch, RESTORED_AT)


async def test_events_that_were_handled_while_the_backup_was_made_are_handled_again(
    installation: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their publications may be missing in a history that was written before them."""
    ask, written = jetstream.request, list[str]()

    async def request(bus: Connection, operation: str, *body: Any, **more: Any) -> Any:
        if operation.startswith("STREAM.SNAPSHOT."):
            written.append(operation.rpartition(".")[2])
            await handle_one(bus)
        return await ask(bus, operation, *body, **more)

    monkeypatch.setattr(jetstream, "request", request)
    folder = await saved(installation, tmp_path)
    assert written[-1] == subjects.EVENTS
    await destroy(installation)
    await restored(installation, folder)
    assert (await next_event(installation)).payload == b"%d" % HANDLED


async def test_streams_that_are_there_are_not_overwritten(installation: Connection, tmp_path: Path) -> None:
    folder = await saved(installation, tmp_path)
    with pytest.raises(StartRefused, match="exists: restore into an installation that has no streams"):
        await restored(installation, folder)


async def test_half_a_backup_is_none(installation: Connection, tmp_path: Path) -> None:
    folder = await saved(installation, tmp_path)
    manifest = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps({**manifest, "layout": 1}))
    with pytest.raises(StartRefused, match="has layout 1 and this version needs"):
        await restored(installation, folder)
    (folder / MANIFEST).unlink()
    with pytest.raises(StartRefused, match="no complete backup"):
        await restored(installation, folder)


async def test_a_consumer_that_has_no_leader_yet_is_asked_again(
    installation: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await handle_one(installation)
    folder = await saved(installation, tmp_path)
    await destroy(installation)
    ask, silent = jetstream.request, 2

    async def request(bus: Connection, operation: str, *body: Any, **more: Any) -> Any:
        nonlocal silent
        if operation.startswith("CONSUMER.RESET.") and silent:
            silent -= 1
            raise RequestTimeout("nobody answers while a leader is elected")
        return await ask(bus, operation, *body, **more)

    monkeypatch.setattr(jetstream, "request", request)
    assert (await restored(installation, folder))[-1] == "everything is restored, with new epochs"
    assert silent == 0


async def test_a_chunk_whose_taker_is_not_known_yet_is_sent_again(
    installation: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, folder = await contents(installation), await saved(installation, tmp_path)
    await destroy(installation)
    monkeypatch.setattr("whimbrel.router.shell.backup.AGAIN_S", 0)
    ask, unknown = Connection.request, 2

    async def request(self: Connection, subject: str, *body: Any, **more: Any) -> Any:
        nonlocal unknown
        if not subject.startswith("$JS.API.") and unknown:
            unknown -= 1
            raise NoResponders("nobody answers on this subject")
        return await ask(self, subject, *body, **more)

    monkeypatch.setattr(Connection, "request", request)
    await restored(installation, folder)
    assert (unknown, await contents(installation)) == (0, before)


async def test_a_restore_that_fails_leaves_nothing_and_may_be_repeated(
    installation: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, folder = await contents(installation), await saved(installation, tmp_path)
    await destroy(installation)
    with monkeypatch.context() as broken:
        broken.setattr("whimbrel.router.shell.backup.ELECTION_S", 0)
        broken.setattr("whimbrel.runtime.jetstream.INFO_TIMEOUT_S", 1e-6)
        with pytest.raises(RequestTimeout):
            await restored(installation, folder)
    await restored(installation, folder)
    assert await contents(installation) == before


async def streams(bus: Connection) -> list[str]:
    names: list[str] = (await jetstream.request(bus, "STREAM.NAMES", {})).get("streams") or []
    return names


@pytest.mark.parametrize("damage", ["gone", "cut", "empty"])
async def test_a_backup_with_a_damaged_file_is_refused_and_leaves_nothing(
    installation: Connection, tmp_path: Path, damage: str
) -> None:
    folder = await saved(installation, tmp_path)
    await destroy(installation)
    file = folder / f"{subjects.EVENTS}.snapshot"
    match damage:
        case "gone":
            file.unlink()
        case "cut":
            file.write_bytes(file.read_bytes()[:-100])
        case "empty":
            file.write_bytes(b"")
    with pytest.raises((StartRefused, JetStreamRefused)):
        await restored(installation, folder)
    assert await streams(installation) == []


async def test_a_restore_that_is_called_off_leaves_nothing(
    installation: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = await saved(installation, tmp_path)
    await destroy(installation)
    working = asyncio.create_task(restored(installation, folder))
    ask = jetstream.request

    async def request(bus: Connection, operation: str, *body: Any, **more: Any) -> Any:
        if operation == f"STREAM.RESTORE.{subjects.EVENTS}":
            working.cancel()  # as Ctrl-C does
        return await ask(bus, operation, *body, **more)

    monkeypatch.setattr(jetstream, "request", request)
    with pytest.raises(asyncio.CancelledError):
        await working
    assert await streams(installation) == []


async def test_a_backup_for_which_the_disk_has_no_room_leaves_no_folder(
    installation: Connection, server: NatsServer, tmp_path: Path
) -> None:
    folder = tmp_path / "backup"
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "whimbrel.router", "backup", str(folder)],
        env={
            **os.environ,
            "WHIMBREL_ROUTER_NATS_URL": server.url("router"),
            "WHIMBREL_ROUTER_SERVICE_KEY": SERVICE_KEY,
        },
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)),  # of a file, in bytes
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert (done.returncode, "File too large" in done.stderr, "Traceback" in done.stderr) == (1, True, False)
    assert not folder.exists()
