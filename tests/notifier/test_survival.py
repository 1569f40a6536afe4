"""Nothing is lost, doubled or inverted, whoever dies."""

import asyncio
from collections import defaultdict

from tests.notifier.platform import Notifier, Platform, body

CHANNELS = 20
EVENTS = 600


async def _publish_all(platform: Platform, *, pause_s: float = 0.0) -> None:
    """Publish EVENTS events over CHANNELS channels, numbered within each; one at a time per channel."""

    async def one_channel(channel: int) -> None:
        for number in range(EVENTS // CHANNELS):
            await platform.publish(
                f"events.shop.order.c{channel}", {"number": number}, {"Nats-Msg-Id": f"test/{channel}-{number}"}
            )
            await asyncio.sleep(pause_s)  # the stream of events goes on while something dies

    await asyncio.gather(*(one_channel(channel) for channel in range(CHANNELS)))


async def _numbers(platform: Platform) -> dict[str, list[int]]:
    """Return, by channel, the numbers of the stored publications in their order, once all are there."""
    found: dict[str, list[int]] = defaultdict(list)
    for channel in range(CHANNELS):
        for stored in await platform.await_stored(f"orders:c{channel}", EVENTS // CHANNELS):
            found[f"orders:c{channel}"].append(body(stored)["data"]["number"])
    return found


EXPECTED = {f"orders:c{channel}": list(range(EVENTS // CHANNELS)) for channel in range(CHANNELS)}


async def _in_mid_stream(platform: Platform) -> None:
    """Return when a part of the events is stored, and not all of them."""
    await platform.await_stored("orders:c7", EVENTS // CHANNELS // 3)
    assert len(await platform.stored("orders:c7")) < EVENTS // CHANNELS


async def test_a_notifier_killed_in_mid_stream_loses_doubles_and_inverts_nothing(platform: Platform) -> None:
    first = await platform.serving(platform.notifier())
    publishing = asyncio.create_task(_publish_all(platform, pause_s=0.02))
    await _in_mid_stream(platform)
    first.kill()
    platform.notifier()
    await publishing
    assert await _numbers(platform) == EXPECTED


async def test_nats_killed_and_restarted_on_its_store_loses_doubles_and_inverts_nothing(platform: Platform) -> None:
    await platform.serving(platform.notifier())
    publishing = asyncio.create_task(_publish_all(platform, pause_s=0.02))
    await _in_mid_stream(platform)
    await asyncio.to_thread(platform.server.restart)
    await publishing
    assert await _numbers(platform) == EXPECTED


async def _holds_something(platform: Platform, notifier: Notifier) -> None:
    while True:
        if (await platform.holdings())[notifier.instance]:
            return
        await asyncio.sleep(0.05)  # between two looks


async def test_a_notifier_that_stood_still_does_not_disturb_the_one_that_took_over(platform: Platform) -> None:
    first = await platform.serving(platform.notifier())
    publishing = asyncio.create_task(_publish_all(platform, pause_s=0.02))
    await _in_mid_stream(platform)
    first.pause()
    second = await platform.serving(platform.notifier())
    await publishing
    async with asyncio.timeout(15):
        await _holds_something(platform, second)
    first.resume()
    assert await _numbers(platform) == EXPECTED
    assert "partition.out_of_step" in first.log


async def _shared(platform: Platform, *notifiers: Notifier) -> dict[str, list[int]]:
    """Return who holds what, once all partitions are held and evenly."""
    while True:
        holdings = await platform.holdings()
        held = [holdings.get(one.instance, []) for one in notifiers]
        if sum(map(len, held)) == 8 and max(map(len, held)) - min(map(len, held)) <= 1:
            return {one.instance: held for one, held in zip(notifiers, held, strict=True)}
        await asyncio.sleep(0.05)  # between two looks


async def test_two_notifiers_share_the_partitions_and_one_takes_over_when_the_other_dies(platform: Platform) -> None:
    first = platform.notifier()
    publishing = asyncio.create_task(_publish_all(platform, pause_s=0.3))
    await platform.await_stored("orders:c7", 1)
    second = platform.notifier()
    async with asyncio.timeout(20):
        shared = await _shared(platform, first, second)
    assert sorted(shared[first.instance] + shared[second.instance]) == list(range(8))
    first.kill()
    async with asyncio.timeout(15):
        assert await _shared(platform, second) == {second.instance: list(range(8))}
    await publishing
    assert await _numbers(platform) == EXPECTED
