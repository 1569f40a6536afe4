"""An installation of an earlier layout is brought to this one, however often that is cut short: on a real bus."""

import itertools
from typing import Any

import pytest

from tests.support.bus import Connect
from tests.support.nats import PARTITIONS
from tests.support.waiting import Collected
from whimbrel.protocol import subjects
from whimbrel.protocol.channels import Channel
from whimbrel.protocol.versions import LAYOUT_VERSION
from whimbrel.router.shell.migration import migrate
from whimbrel.runtime import catalogue, jetstream
from whimbrel.runtime.delivery import Delivery
from whimbrel.runtime.directget import DirectGet
from whimbrel.runtime.errors import LayoutMismatch, RequestTimeout, StartRefused
from whimbrel.runtime.nats import Connection

KEPT = Channel("user", "alice")  # her inbox has publications
FORGOTTEN = Channel("user", "bob")  # the history of his has forgotten all that it had
LETTERS = [b"letter %d" % number for number in range(3)]


@pytest.fixture
async def bus(connect: Connect) -> Connection:
    return await connect("router")


@pytest.fixture
async def notifier(connect: Connect) -> Connection:
    """Somebody who may publish to channels."""
    return await connect("notifier")


async def made_by_layout_1(bus: Connection, notifier: Connection) -> None:
    """Declare what a router of layout 1 declared, with some dead letters."""
    await jetstream.declare(bus, partitions=PARTITIONS, replicas=1)
    config = await jetstream.stream_config(bus, subjects.DLQ)
    assert config is not None
    await jetstream.request(bus, f"STREAM.DELETE.{subjects.DLQ}")
    await jetstream.request(bus, f"STREAM.CREATE.{subjects.DLQ}", {**config, "deny_delete": True})
    await histories_that_let_nothing_go(bus, notifier)
    for letter in LETTERS:
        await jetstream.publish(bus, subjects.DLQ_NOTIFIER, letter, {"ce-id": "e1"})
    for each in catalogue.streams(partitions=PARTITIONS, replicas=1):
        await layout_of(bus, each["name"], 1)


async def histories_that_let_nothing_go(bus: Connection, notifier: Connection) -> None:
    """Replace the histories by those of layouts 1 and 2: one with publications, one that has forgotten its own."""
    for name in subjects.all_history_streams(PARTITIONS):
        config = await jetstream.stream_config(bus, name)
        assert config is not None
        await jetstream.request(bus, f"STREAM.DELETE.{name}")
        await jetstream.request(bus, f"STREAM.CREATE.{name}", {**config, "deny_delete": True})
    for number in range(10):
        await store(notifier, KEPT, b"%d" % number)
    await store(notifier, FORGOTTEN, b"gone")
    await jetstream.request(bus, f"STREAM.PURGE.{stream_of(FORGOTTEN)}")


async def store(bus: Connection, channel: Channel, body: bytes) -> None:
    await jetstream.publish(bus, subjects.publish_subject(channel), body)


def stream_of(channel: Channel) -> str:
    return subjects.history_stream(subjects.partition_of(channel, PARTITIONS))


async def state_of(bus: Connection, name: str) -> dict[str, Any]:
    state: dict[str, Any] = (await jetstream.request(bus, f"STREAM.INFO.{name}"))["state"]
    return state


async def layout_of(bus: Connection, name: str, layout: int) -> None:
    config = await jetstream.stream_config(bus, name)
    assert config is not None
    metadata = {**config["metadata"], catalogue.LAYOUT: str(layout)}
    await jetstream.request(bus, f"STREAM.UPDATE.{name}", {**config, "metadata": metadata})


async def run(bus: Connection) -> list[str]:
    return [said async for said in migrate(bus)]


async def assert_migrated(bus: Connection) -> None:
    letters = (await DirectGet(bus).batch(subjects.DLQ, None, 1)).messages
    assert [letter.payload for letter in letters] == LETTERS
    assert {letter.subject for letter in letters} == {subjects.DLQ_NOTIFIER}
    await jetstream.request(bus, f"STREAM.MSG.DELETE.{subjects.DLQ}", {"seq": letters[0].seq})
    await jetstream.declare(bus, partitions=PARTITIONS, replicas=1)
    stored = (await DirectGet(bus).batch(stream_of(KEPT), None, 1)).messages
    assert [(each.seq, each.payload) for each in stored] == [(seq, b"%d" % (seq - 1)) for seq in range(1, 11)]
    assert (await state_of(bus, stream_of(FORGOTTEN)))["last_seq"] == 1, "what comes next is no position of the past"
    await jetstream.request(bus, f"STREAM.MSG.DELETE.{stream_of(KEPT)}", {"seq": 3})
    names = (await jetstream.request(bus, "STREAM.NAMES", {}))["streams"]
    assert set(names) == {each["name"] for each in catalogue.streams(partitions=PARTITIONS, replicas=1)}


async def test_a_router_refuses_streams_of_an_earlier_layout(bus: Connection, notifier: Connection) -> None:
    await made_by_layout_1(bus, notifier)
    with pytest.raises(LayoutMismatch, match="layout 1"):
        await jetstream.declare(bus, partitions=PARTITIONS, replicas=1)


async def test_dead_letters_survive_and_can_go_from_then_on(bus: Connection, notifier: Connection) -> None:
    await made_by_layout_1(bus, notifier)
    epochs = (await jetstream.stream_config(bus, subjects.DLQ) or {})["metadata"][catalogue.EPOCH]
    said = await run(bus)
    assert [each.partition(":")[0] for each in said[:2]] == ["layout 1 to 2", "layout 2 to 3"]
    await assert_migrated(bus)
    assert (await jetstream.stream_config(bus, subjects.DLQ) or {})["metadata"][catalogue.EPOCH] == epochs


async def test_positions_and_publications_of_every_channel_survive(
    bus: Connection, notifier: Connection, connect: Connect
) -> None:
    await made_by_layout_1(bus, notifier)
    epochs = [
        (await jetstream.stream_config(bus, name) or {})["metadata"][catalogue.EPOCH]
        for name in subjects.all_history_streams(PARTITIONS)
    ]
    await run(bus)
    layout = await jetstream.declare(bus, partitions=PARTITIONS, replicas=1)
    assert list(layout.epochs) == epochs
    heard = Collected[Delivery]()
    edge = await connect("edge")
    edge.attach(subjects.live_subject(KEPT), heard.append)
    await edge.flush()
    ack = await jetstream.publish(notifier, subjects.publish_subject(KEPT), b"next")
    assert ack.seq == 11
    assert [delivery.payload for delivery in await heard.until(1)] == [b"next"]
    assert (await jetstream.publish(notifier, subjects.publish_subject(FORGOTTEN), b"next")).seq == 2


async def test_a_migration_cut_short_at_any_request_is_completed_by_the_next(
    bus: Connection, notifier: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    await made_by_layout_1(bus, notifier)
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


async def test_a_second_migration_changes_nothing(bus: Connection, notifier: Connection) -> None:
    await made_by_layout_1(bus, notifier)
    await run(bus)
    assert await run(bus) == [f"layout {LAYOUT_VERSION} is complete"]


async def test_where_nothing_can_be_migrated_the_way_out_is_said(bus: Connection) -> None:
    with pytest.raises(StartRefused, match="no installation here"):
        await run(bus)
    await jetstream.declare(bus, partitions=PARTITIONS, replicas=1)
    await layout_of(bus, subjects.history_stream(0), LAYOUT_VERSION + 1)
    with pytest.raises(StartRefused, match=f"have layout {LAYOUT_VERSION + 1}, and this version knows 1 to"):
        await run(bus)
