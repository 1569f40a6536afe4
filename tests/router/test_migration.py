"""An installation of an earlier layout is brought to this one, however often that is cut short: on a real bus."""

import itertools
from typing import Any

import pytest

from tests.router.conftest import Connect
from tests.support.nats import PARTITIONS
from whimbrel.protocol import subjects
from whimbrel.protocol.versions import LAYOUT_VERSION
from whimbrel.router.shell.migration import migrate
from whimbrel.runtime import jetstream
from whimbrel.runtime.directget import DirectGet
from whimbrel.runtime.errors import LayoutMismatch, RequestTimeout, StartRefused
from whimbrel.runtime.nats import Connection

LETTERS = [b"letter %d" % number for number in range(3)]


@pytest.fixture
async def bus(connect: Connect) -> Connection:
    return await connect("router")


async def made_by_layout_1(bus: Connection) -> None:
    """Declare what a router of layout 1 declared, with some dead letters."""
    await jetstream.declare(bus, partitions=PARTITIONS, replicas=1)
    config = await jetstream.stream_config(bus, subjects.DLQ)
    assert config is not None
    await jetstream.request(bus, f"STREAM.DELETE.{subjects.DLQ}")
    await jetstream.request(bus, f"STREAM.CREATE.{subjects.DLQ}", {**config, "deny_delete": True})
    for letter in LETTERS:
        await jetstream.publish(bus, subjects.DLQ_NOTIFIER, letter, {"ce-id": "e1"})
    for each in jetstream.streams(partitions=PARTITIONS, replicas=1):
        await layout_of(bus, each["name"], 1)


async def layout_of(bus: Connection, name: str, layout: int) -> None:
    config = await jetstream.stream_config(bus, name)
    assert config is not None
    metadata = {**config["metadata"], jetstream.LAYOUT: str(layout)}
    await jetstream.request(bus, f"STREAM.UPDATE.{name}", {**config, "metadata": metadata})


async def run(bus: Connection) -> list[str]:
    return [said async for said in migrate(bus)]


async def assert_migrated(bus: Connection) -> None:
    letters = (await DirectGet(bus).batch(subjects.DLQ, None, 1)).messages
    assert [letter.payload for letter in letters] == LETTERS
    assert {letter.subject for letter in letters} == {subjects.DLQ_NOTIFIER}
    await jetstream.request(bus, f"STREAM.MSG.DELETE.{subjects.DLQ}", {"seq": letters[0].seq})
    await jetstream.declare(bus, partitions=PARTITIONS, replicas=1)
    names = (await jetstream.request(bus, "STREAM.NAMES", {}))["streams"]
    assert set(names) == {each["name"] for each in jetstream.streams(partitions=PARTITIONS, replicas=1)}


async def test_a_router_refuses_streams_of_an_earlier_layout(bus: Connection) -> None:
    await made_by_layout_1(bus)
    with pytest.raises(LayoutMismatch, match="layout 1"):
        await jetstream.declare(bus, partitions=PARTITIONS, replicas=1)


async def test_dead_letters_survive_and_can_go_from_then_on(bus: Connection) -> None:
    await made_by_layout_1(bus)
    epochs = (await jetstream.stream_config(bus, subjects.DLQ) or {})["metadata"][jetstream.EPOCH]
    said = await run(bus)
    assert said[0].startswith("layout 1 to 2: ")
    await assert_migrated(bus)
    assert (await jetstream.stream_config(bus, subjects.DLQ) or {})["metadata"][jetstream.EPOCH] == epochs


async def test_a_migration_cut_short_at_any_request_is_completed_by_the_next(
    bus: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    await made_by_layout_1(bus)
    ask = jetstream.request
    for allowed in itertools.count(1):
        left = allowed

        async def cut(connection: Connection, operation: str, *body: Any, **more: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                raise RequestTimeout("the power is gone")
            return await ask(connection, operation, *body, **more)

        with monkeypatch.context() as patch:
            patch.setattr(jetstream, "request", cut)
            try:
                await run(bus)
                break
            except RequestTimeout:
                continue
    assert allowed > 20, "every request was the last one once"
    await assert_migrated(bus)


async def test_a_second_migration_changes_nothing(bus: Connection) -> None:
    await made_by_layout_1(bus)
    await run(bus)
    assert await run(bus) == [f"layout {LAYOUT_VERSION} is complete"]


async def test_where_nothing_can_be_migrated_the_way_out_is_said(bus: Connection) -> None:
    with pytest.raises(StartRefused, match="no installation here"):
        await run(bus)
    await jetstream.declare(bus, partitions=PARTITIONS, replicas=1)
    await layout_of(bus, subjects.history_stream(0), LAYOUT_VERSION + 1)
    with pytest.raises(StartRefused, match=f"have layout {LAYOUT_VERSION + 1}, and this version knows 1 to"):
        await run(bus)
