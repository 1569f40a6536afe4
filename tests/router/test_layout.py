"""What is there when the router is ready: streams, namespaces, resume keys."""

import asyncio
import json
from pathlib import Path

import pytest

from tests.router.asking import bucket
from tests.router.conftest import NAMESPACES, settings
from tests.support.bus import Connect, Serving, client
from tests.support.nats import PARTITIONS, NatsServer
from tests.support.services import running
from tests.support.waiting import Collected
from whimbrel.protocol import subjects
from whimbrel.protocol.namespaces import ROUTER_OWNED, Namespace
from whimbrel.protocol.rpc import (
    ResumeKey,
)
from whimbrel.router.app import run
from whimbrel.router.core.namespaces import parse
from whimbrel.router.core.resumekeys import ROTATE_S
from whimbrel.router.settings import RouterSettings
from whimbrel.router.shell import resumekeys
from whimbrel.runtime import jetstream
from whimbrel.runtime.errors import StartRefused


async def test_the_layout_is_there_when_the_router_is_ready(router: Serving, connect: Connect) -> None:
    layout = await jetstream.layout(await connect("edge"))
    assert layout.partitions == PARTITIONS
    assert len(set(layout.epochs)) == PARTITIONS


async def test_the_namespaces_of_the_file_are_in_the_bucket(router: Serving, connect: Connect) -> None:
    stored = await bucket(await connect("router"), subjects.NAMESPACES).find(">")
    table = {name: Namespace.model_validate_json(entry.value) for name, entry in stored.items()}
    assert table == parse(NAMESPACES)
    assert table.keys() >= ROUTER_OWNED.keys()


async def test_a_changed_file_adds_changes_and_removes(server: NatsServer, tmp_path: Path, connect: Connect) -> None:
    async with running("router", settings(server, tmp_path), run):
        pass
    changes: Collected[str] = Collected()
    bus = await connect("edge")
    await bus.subscribe(subjects.bucket_changes(subjects.NAMESPACES), lambda delivery: changes.append(delivery.subject))
    await bus.flush()
    (tmp_path / "namespaces.yaml").write_text(
        "orders: {durable: true, subscribe: {groups: [vip]}}\ntyping: {durable: false, subscribe: authenticated, "
        "publish: subscribers}\nprices: {durable: true}\n"
    )
    async with running("router", settings(server, tmp_path), run) as service, client(service) as http:
        told = await changes.until(3)
        listed = (await http.get("/v1/namespaces")).json()["namespaces"]
    assert sorted(subject.rpartition(".")[2] for subject in told) == ["orders", "prices", "staff"]
    assert sorted(listed) == ["group", "orders", "prices", "typing", "user"]
    assert listed["orders"]["subscribe"] == {"groups": ["vip"]}


async def test_without_a_file_the_stored_namespaces_stay(server: NatsServer, tmp_path: Path) -> None:
    async with running("router", settings(server, tmp_path), run):
        pass
    async with (
        running("router", settings(server, tmp_path, namespaces_file=None), run) as service,
        client(service) as http,
    ):
        assert sorted((await http.get("/v1/namespaces")).json()["namespaces"]) == [
            "group", "orders", "staff", "typing", "user",
        ]  # fmt: skip


async def test_a_router_with_another_partition_count_does_not_start(server: NatsServer, tmp_path: Path) -> None:
    async with running("router", settings(server, tmp_path), run):
        pass
    with pytest.raises(StartRefused, match="set it back to 8"):
        async with running("router", settings(server, tmp_path, partitions=4), run):
            pass


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("orders: {durable: perhaps}", "line 1: orders.durable"), (None, "cannot read the namespaces file")],
)
async def test_a_wrong_namespaces_file_is_one_sentence(
    server: NatsServer, tmp_path: Path, text: str | None, sentence: str
) -> None:
    wrong = tmp_path / "wrong.yaml"
    if text is not None:
        wrong.write_text(text)
    with pytest.raises(StartRefused, match=sentence):
        async with running("router", settings(server, tmp_path, namespaces_file=wrong), run):
            pass


async def test_a_short_service_key_is_one_sentence_even_without_a_bus(server: NatsServer, tmp_path: Path) -> None:
    nowhere = settings(server, tmp_path, service_key="short", nats_url="nats://127.0.0.1:1")
    with pytest.raises(StartRefused, match="service key"):
        async with running("router", nowhere, run):
            pass


async def test_two_routers_start_side_by_side(server: NatsServer, tmp_path: Path, connect: Connect) -> None:
    one, two = (settings(server, tmp_path, instance=name) for name in ("one", "two"))

    async def start(own: RouterSettings) -> bool:
        async with running("router", own, run) as service:
            return service.health.is_ready

    assert all(await asyncio.gather(start(one), start(two)))
    stored = await bucket(await connect("router"), subjects.KEYS).get(subjects.RESUME_KEYS)
    assert stored is not None
    assert len(json.loads(stored.value)) == 1


async def test_the_first_resume_key_is_there_when_the_router_is_ready(router: Serving, connect: Connect) -> None:
    stored = await bucket(await connect("router"), subjects.KEYS).get(subjects.RESUME_KEYS)
    assert stored is not None
    (key,) = map(ResumeKey.model_validate, json.loads(stored.value))
    assert len(key.secret) == 44
    assert key.secret != "A" * 43 + "="


async def test_a_resume_key_is_replaced_when_it_is_old(router: Serving, connect: Connect) -> None:
    bus = await connect("router")
    keys = bucket(bus, subjects.KEYS)
    first = await keys.get(subjects.RESUME_KEYS)
    assert first is not None
    created = json.loads(first.value)[0]["created"]
    draws = iter(range(1, 100))

    def rotating(now: float) -> resumekeys.ResumeKeys:
        return resumekeys.ResumeKeys(
            keys, router.service.log, clock=lambda: now, entropy=lambda size: next(draws).to_bytes(size)
        )

    await rotating(created + ROTATE_S - 1).check()
    assert await keys.get(subjects.RESUME_KEYS) == first
    await rotating(created + ROTATE_S).check()
    second = await keys.get(subjects.RESUME_KEYS)
    assert second is not None
    assert [key["created"] for key in json.loads(second.value)] == [created + ROTATE_S, created]


async def test_resume_keys_that_nobody_can_read_are_replaced(router: Serving, connect: Connect) -> None:
    keys = bucket(await connect("router"), subjects.KEYS)
    await keys.put(subjects.RESUME_KEYS, b"{")
    await resumekeys.ResumeKeys(keys, router.service.log, clock=lambda: 7.0, entropy=bytes).check()
    stored = await keys.get(subjects.RESUME_KEYS)
    assert stored is not None
    assert [key["created"] for key in json.loads(stored.value)] == [7]
