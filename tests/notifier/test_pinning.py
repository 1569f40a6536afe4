"""What nats-server does with pinned consumers, as far as the notifier builds on it (shell/consumer.py)."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from tests.notifier.platform import Platform
from tests.support.waiting import Collected, within
from whimbrel.notifier.core.intake import KEEP_THE_PIN, Delivered, Pull
from whimbrel.notifier.shell import consumer as wire
from whimbrel.notifier.shell.consumer import Consumer
from whimbrel.protocol import subjects
from whimbrel.runtime import jetstream
from whimbrel.runtime.nats import Connection, Delivery

PARTITION = 0
EVENT = "events.shop.order.3"  # lies in partition 0


class Puller:
    """One notifier's side of the consumer."""

    def __init__(self, bus: Connection) -> None:
        self.consumer = Consumer(bus, PARTITION)
        self.listen()

    def listen(self) -> None:
        self.got: Collected[Delivery] = Collected()
        self.seen = 0
        self.consumer.listen(self.got.append)

    async def next(self) -> Delivery:
        self.seen += 1
        return (await self.got.until(self.seen))[self.seen - 1]


@pytest.fixture
async def pullers(platform: Platform) -> AsyncIterator[tuple[Puller, Puller]]:
    buses = [platform.connection("notifier") for _ in range(2)]
    for bus in buses:
        await within(bus.open())
    one, other = (Puller(bus) for bus in buses)
    await one.consumer.declare()
    await other.consumer.declare()
    yield one, other
    for bus in buses:
        await bus.close(timeout=0.2)


async def publish(platform: Platform, count: int) -> None:
    for number in range(count):
        await platform.publish(EVENT, {"n": number})


async def orphaned(puller: Puller) -> None:
    while True:
        if await puller.consumer.is_orphaned():
            return
        await asyncio.sleep(0.05)  # between two looks


def number(delivery: Delivery) -> int:
    return int(json.loads(delivery.payload)["n"])


async def test_the_one_that_waits_longest_is_pinned_and_the_other_gets_nothing(
    platform: Platform, pullers: tuple[Puller, Puller]
) -> None:
    one, other = pullers
    one.consumer.claim()
    await platform.statuses()  # a round trip: the first claim is in line
    other.consumer.claim()
    await publish(platform, 2)
    first = await one.next()
    pin = first.header(wire.PIN_HEADER)
    assert (pin is not None, number(first)) == (True, 0)
    one.consumer.pull(Pull(1, 1_000_000), pin or "")
    assert number(await one.next()) == 1
    answer = await other.next()
    assert answer.status() == wire.EXPIRED


async def test_a_foreign_pin_is_refused(platform: Platform, pullers: tuple[Puller, Puller]) -> None:
    one, other = pullers
    one.consumer.claim()
    await publish(platform, 1)
    await one.next()
    other.consumer.pull(Pull(1, 1_000_000), "somebody-else")
    assert (await other.next()).status() == wire.PIN_MISMATCH


async def test_who_asks_for_less_than_an_event_is_told_so_and_gets_none(
    platform: Platform, pullers: tuple[Puller, Puller]
) -> None:
    one, _ = pullers
    one.consumer.claim()
    await publish(platform, 2)
    pin = (await one.next()).header(wire.PIN_HEADER) or ""
    one.consumer.pull(KEEP_THE_PIN, pin)
    refusal = await one.next()
    assert (refusal.status(), refusal.header(wire.UNSERVED_HEADER)) == (wire.CLOSED, "1")
    one.consumer.pull(Pull(1, 1_000_000), pin)
    assert number(await one.next()) == 1


async def test_reset_keeps_the_pin_and_delivers_again_from_the_last_acknowledgement_on(
    platform: Platform, pullers: tuple[Puller, Puller]
) -> None:
    one, _ = pullers
    one.consumer.claim()
    await publish(platform, 4)
    pin = (await one.next()).header(wire.PIN_HEADER) or ""
    one.consumer.pull(Pull(3, 1_000_000), pin)
    delivered = [await one.next() for _ in range(3)]
    bus = one.consumer._bus
    for delivery in (one.got.items[0], delivered[1]):  # not the one between: the acknowledgement floor stays below
        await bus.request(delivery.reply, wire.ACK, timeout=5)  # whose reply says that it has counted
    one.listen()
    await one.consumer.reset()
    one.consumer.pull(Pull(3, 1_000_000), pin)
    again = [await one.next() for _ in range(3)]
    assert [number(delivery) for delivery in again] == [1, 2, 3]
    assert [Delivered.parse(delivery.reply).consumer_sequence for delivery in again] == [1, 2, 3]


async def test_unpin_gives_the_partition_to_the_next_in_line_at_once(
    platform: Platform, pullers: tuple[Puller, Puller]
) -> None:
    one, other = pullers
    one.consumer.claim()
    await publish(platform, 2)
    pin = (await one.next()).header(wire.PIN_HEADER) or ""
    other.consumer.claim()
    await one.consumer.unpin()
    assert (await other.next()).header(wire.PIN_HEADER) not in (None, pin)
    one.consumer.probe(pin)
    assert (await one.next()).status() == wire.PIN_MISMATCH


async def test_who_asks_for_nothing_loses_the_pin_and_leaves_orphans_until_the_reset(
    platform: Platform, pullers: tuple[Puller, Puller]
) -> None:
    one, other = pullers
    one.consumer.claim()
    await publish(platform, 1)
    await one.next()
    assert not await other.consumer.is_orphaned()
    await within(orphaned(other))
    await other.consumer.reset()
    other.consumer.claim()
    assert number(await other.next()) == 0


async def test_a_consumer_that_is_gone_is_told_at_once(platform: Platform, pullers: tuple[Puller, Puller]) -> None:
    one, _ = pullers
    name = subjects.event_consumer(PARTITION)
    await jetstream.request(platform.router, f"CONSUMER.DELETE.{subjects.EVENTS}.{name}")
    one.consumer.claim()
    assert (await one.next()).status() == wire.NOBODY
