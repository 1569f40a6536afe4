"""Events with thousands of targets, and events that are large: sent as fast as the bus takes them, and once."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.notifier.platform import Notifier, Platform
from tests.support.waiting import Collected, within
from whimbrel.protocol import subjects
from whimbrel.runtime.nats import Connection, Delivery

ROUTES = """
routes:
  - subject: events.shop.order.*
    channels: ["orders:{id}", "typing:{data.devices?}"]
"""
DEVICES = 600
MIB = 1024 * 1024


@pytest.fixture
async def edge(platform: Platform) -> AsyncIterator[Connection]:
    bus = platform.connection("edge")
    await within(bus.open())
    yield bus
    await bus.close(timeout=0.2)


async def finished(platform: Platform, notifier: Notifier, *, events: int) -> dict[str, Any]:
    """Return what a notifier tells of itself once it has finished so many."""
    while True:
        status = (await platform.statuses()).get(notifier.instance)
        if status is not None and status.detail.get("events") == events:
            return status.detail
        await asyncio.sleep(0.02)  # between two looks


async def test_thousands_of_ephemeral_channels_are_told_once_and_hold_nobody_up(
    platform: Platform, edge: Connection
) -> None:
    heard: Collected[Delivery] = Collected()
    await edge.subscribe(subjects.LIVE_ALL.replace(">", "typing.*"), heard.append)
    await within(edge.flush())
    notifier = platform.notifier(ROUTES)
    devices = [f"device-of-a-customer-{number:016}" for number in range(DEVICES)]
    payload_bytes = sum(map(len, devices))
    assert payload_bytes * DEVICES > 8 * MIB, "more than a connection lets wait"
    await platform.publish("events.shop.order.1", {"devices": devices})
    await platform.publish("events.shop.order.1", {})
    await platform.await_stored("orders:1", 2)
    told = [delivery.subject for delivery in await heard.until(DEVICES)]
    await within(edge.flush())
    assert sorted(told) == sorted(subjects.LIVE_ALL.replace(">", f"typing.{device}") for device in devices)
    assert "out_of_step" not in notifier.log


async def test_a_large_event_for_many_channels_is_sent_as_the_bus_takes_it(platform: Platform) -> None:
    notifier = platform.notifier("routes: [{subject: events.shop.order.*, channels: 'orders:{data.orders}'}]")
    orders = [str(number) for number in range(50)]
    await platform.publish("events.shop.order.1", {"orders": orders, "text": "x" * (200 * 1024)})
    detail = await within(finished(platform, notifier, events=1))
    assert await platform.in_histories() == len(orders)
    assert (detail["publications"], detail["retries"]) == (len(orders), 0), "all at once are more than may wait"
