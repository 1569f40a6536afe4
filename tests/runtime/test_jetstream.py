"""The layout is declared once, checked ever after, and read back by everybody."""

import asyncio
from typing import Any

import pytest

from tests.runtime.conftest import Connect
from tests.support.nats import PARTITIONS, NatsServer
from tests.support.waiting import Collected, within
from whimbrel.protocol import subjects
from whimbrel.protocol.channels import Channel
from whimbrel.protocol.limits import RETAINED_PER_CHANNEL
from whimbrel.runtime import catalogue, jetstream
from whimbrel.runtime.errors import JetStreamRefused, LayoutMismatch, LayoutMissing, NoResponders
from whimbrel.runtime.logs import Logger
from whimbrel.runtime.nats import Connection, Delivery

ORDERS_42 = Channel.parse("orders:42")


async def config_of(connection: Connection, stream: str) -> dict[str, Any]:
    config: dict[str, Any] = (await jetstream.request(connection, f"STREAM.INFO.{stream}"))["config"]
    return config


async def test_declaring_gives_every_stream_an_epoch_of_its_own(connect: Connect) -> None:
    router = await connect()
    layout = await jetstream.declare(router, partitions=PARTITIONS, replicas=1)
    assert layout.partitions == PARTITIONS
    epochs = {*layout.epochs, layout.events_epoch}
    assert len(epochs) == PARTITIONS + 1
    assert all(len(epoch) == 16 and int(epoch, 16) >= 0 for epoch in epochs)


async def test_declaring_again_changes_nothing(connect: Connect) -> None:
    router = await connect()
    first = await jetstream.declare(router, partitions=PARTITIONS, replicas=1)
    created = [config["name"] for config in catalogue.streams(partitions=PARTITIONS, replicas=1)]
    before = [await config_of(router, name) for name in created]
    assert await jetstream.declare(router, partitions=PARTITIONS, replicas=1) == first
    assert [await config_of(router, name) for name in created] == before


async def test_two_routers_may_declare_at_once(connect: Connect) -> None:
    routers = [await connect() for _ in range(3)]
    layouts = await asyncio.gather(
        *(jetstream.declare(router, partitions=PARTITIONS, replicas=1) for router in routers)
    )
    assert layouts[0] == layouts[1] == layouts[2]


@pytest.mark.parametrize("partitions", [4, 16])
async def test_another_partition_count_is_refused_before_anything_changes(connect: Connect, partitions: int) -> None:
    router = await connect()
    layout = await jetstream.declare(router, partitions=PARTITIONS, replicas=1)
    with pytest.raises(LayoutMismatch, match=f"declared with 8 partitions, this router is set to {partitions}"):
        await jetstream.declare(router, partitions=partitions, replicas=1)
    assert await jetstream.layout(router) == layout
    assert (await jetstream.request(router, "STREAM.NAMES"))["total"] == PARTITIONS + 4 + len(catalogue.BUCKETS)


async def test_a_stream_that_somebody_else_made_is_not_taken_over(connect: Connect) -> None:
    router = await connect()
    await jetstream.request(router, "STREAM.CREATE.EVENTS", {"name": "EVENTS", "subjects": ["e.>"]})
    with pytest.raises(LayoutMismatch, match="stream EVENTS exists, but no Whimbrel router declared it"):
        await jetstream.declare(router, partitions=PARTITIONS, replicas=1)


async def test_a_changed_setting_is_applied_to_what_exists_and_the_epoch_stays(connect: Connect) -> None:
    router = await connect()
    layout = await jetstream.declare(router, partitions=PARTITIONS, replicas=1)
    changed = {**await config_of(router, "HISTORY_3"), "max_msgs_per_subject": 5, "max_age": 0}
    await jetstream.request(router, "STREAM.UPDATE.HISTORY_3", changed)
    assert await jetstream.declare(router, partitions=PARTITIONS, replicas=1) == layout
    config = await config_of(router, "HISTORY_3")
    assert (config["max_msgs_per_subject"], config["max_age"]) == (RETAINED_PER_CHANNEL, catalogue.HISTORY_AGE)


async def test_a_stream_that_an_earlier_version_had_compressed_is_written_plain(connect: Connect) -> None:
    router = await connect()
    await jetstream.declare(router, partitions=PARTITIONS, replicas=1)
    compressed = await config_of(router, subjects.EVENTS) | {"compression": "s2"}
    await jetstream.request(router, f"STREAM.UPDATE.{subjects.EVENTS}", compressed)
    await jetstream.declare(router, partitions=PARTITIONS, replicas=1)
    names = (await jetstream.request(router, "STREAM.NAMES"))["streams"]
    assert {(await config_of(router, name))["compression"] for name in names} == {"none"}


async def test_a_layout_of_another_version_is_refused(connect: Connect) -> None:
    router = await connect()
    await jetstream.declare(router, partitions=PARTITIONS, replicas=1)
    config = await config_of(router, "DLQ")
    config["metadata"][catalogue.LAYOUT] = "99"
    await jetstream.request(router, "STREAM.UPDATE.DLQ", config)
    with pytest.raises(LayoutMismatch, match="stream DLQ has layout 99"):
        await jetstream.layout(router)


async def test_what_is_lost_is_declared_anew_with_another_epoch(connect: Connect) -> None:
    router = await connect()
    before = await jetstream.declare(router, partitions=PARTITIONS, replicas=1)
    await jetstream.request(router, "STREAM.DELETE.HISTORY_3")
    with pytest.raises(LayoutMissing, match="HISTORY_3"):
        await jetstream.layout(router)
    after = await jetstream.declare(router, partitions=PARTITIONS, replicas=1)
    assert [p for p in range(PARTITIONS) if before.epochs[p] != after.epochs[p]] == [3]


@pytest.mark.parametrize("user", ["edge", "auth", "notifier"])
async def test_the_other_services_wait_for_the_layout(connect: Connect, log: Logger, user: str) -> None:
    other, router = await connect(user), await connect()
    with pytest.raises(LayoutMissing):
        await jetstream.layout(other)
    waiting = asyncio.create_task(jetstream.await_layout(other, log))
    layout = await jetstream.declare(router, partitions=PARTITIONS, replicas=1)
    assert await within(waiting) == layout


async def test_the_layout_outlives_a_killed_server(connect: Connect, server: NatsServer, log: Logger) -> None:
    router = await connect()
    layout = await jetstream.declare(router, partitions=PARTITIONS, replicas=1)
    again: Collected[None] = Collected()
    router.on_connected.append(lambda: again.append(None))
    server.restart()
    await again.until(1)
    assert await within(jetstream.await_layout(router, log)) == layout


async def test_a_publication_is_stored_once_and_republished_once_with_its_position(connect: Connect) -> None:
    router, notifier, edge = await connect(), await connect("notifier"), await connect("edge")
    await jetstream.declare(router, partitions=PARTITIONS, replicas=1)
    live: Collected[Delivery] = Collected()
    edge.attach(subjects.live_subject(ORDERS_42), live.append)
    await edge.flush()
    subject = subjects.publish_subject(ORDERS_42)
    first = await jetstream.publish(notifier, subject, b"one", {"Nats-Msg-Id": "1"})
    again = await jetstream.publish(notifier, subject, b"one", {"Nats-Msg-Id": "1"})
    second = await jetstream.publish(notifier, subject, b"two", {"Nats-Msg-Id": "2"})
    stream = subjects.history_stream(subjects.partition_of(ORDERS_42, PARTITIONS))
    assert first == jetstream.PubAck(stream, 1, False)
    assert again == jetstream.PubAck(stream, 1, True)
    assert second == jetstream.PubAck(stream, 2, False)
    await live.until(2)
    await edge.flush()
    assert [(d.subject, d.payload, d.header("Nats-Sequence"), d.header("Nats-Last-Sequence")) for d in live.items] == [
        ("live.orders.42", b"one", "1", "0"),
        ("live.orders.42", b"two", "2", "1"),
    ]


async def test_many_publications_may_be_in_flight(connect: Connect) -> None:
    router, notifier = await connect(), await connect("notifier")
    await jetstream.declare(router, partitions=PARTITIONS, replicas=1)
    asked = [notifier.ask(subjects.publish_subject(ORDERS_42), b"%d" % number) for number in range(500)]
    acks = [jetstream.ack_of(await within(reply)) for reply in asked]
    assert [ack.seq for ack in acks] == list(range(1, 501))


async def test_a_publication_that_no_stream_keeps_fails_at_once(connect: Connect) -> None:
    notifier = await connect("notifier")
    with pytest.raises(NoResponders):
        await jetstream.publish(notifier, subjects.publish_subject(ORDERS_42), b"")


async def test_an_event_over_the_limit_is_refused_with_jetstreams_reason(connect: Connect) -> None:
    router, domain = await connect(), await connect("domain")
    await jetstream.declare(router, partitions=PARTITIONS, replicas=1)
    largest = bytes(256 * 1024)
    assert (await jetstream.publish(domain, "events.shop.order.42", largest)).seq == 1
    with pytest.raises(JetStreamRefused, match="message size exceeds maximum"):
        await jetstream.publish(domain, "events.shop.order.42", bytes(catalogue.MAX_EVENT_MESSAGE_BYTES + 1))


async def test_buckets_are_what_nats_own_clients_take_for_buckets(connect: Connect) -> None:
    router = await connect()
    await jetstream.declare(router, partitions=PARTITIONS, replicas=1)
    for bucket in catalogue.BUCKETS:
        theirs = await router.jetstream.key_value(bucket)
        revision = await theirs.put("key", b"value")
        entry = await theirs.get("key")
        assert (entry.value, entry.revision) == (b"value", revision)


async def test_changes_of_a_republished_bucket_are_heard(connect: Connect) -> None:
    router, edge = await connect(), await connect("edge")
    await jetstream.declare(router, partitions=PARTITIONS, replicas=1)
    heard: Collected[Delivery] = Collected()
    edge.attach("ctl.>", heard.append)
    await edge.flush()
    for bucket in catalogue.BUCKETS:
        await jetstream.publish(router, subjects.key_subject(bucket, "some.key"), b"value")
    await heard.until(len(catalogue.REPUBLISHED_BUCKETS))
    await edge.flush()
    assert {d.subject for d in heard.items} == {
        "ctl.namespaces.some.key",
        "ctl.groups.some.key",
        "ctl.keys.some.key",
        "ctl.revoked.some.key",
    }
