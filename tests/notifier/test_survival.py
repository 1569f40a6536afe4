"""Nothing is lost, doubled or inverted, whoever dies."""

import asyncio
import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence

from tests.notifier.platform import Notifier, Platform, body

CHANNELS = 20
EVENTS = 600
# A pin ends after 6 s and is claimed within 2; a machine with 15 processes in line takes several times as long.
TAKEOVER_S = 60.0
PAUSE_S = 0.3  # between the events of a channel: the stream goes on while something dies


async def _publish_all(platform: Platform, *, pause_s: float) -> None:
    """Publish EVENTS events over CHANNELS channels, numbered within each; one at a time per channel."""

    async def one_channel(channel: int) -> None:
        for number in range(EVENTS // CHANNELS):
            await platform.publish(
                f"events.shop.order.c{channel}", {"number": number}, {"Nats-Msg-Id": f"test/{channel}-{number}"}
            )
            await asyncio.sleep(pause_s)  # the stream of events goes on while something dies

    await asyncio.gather(*(one_channel(channel) for channel in range(CHANNELS)))


async def _publish_until(platform: Platform, enough: asyncio.Event) -> dict[str, list[int]]:
    """Publish over CHANNELS channels until there is ``enough``; return the numbers by channel.

    For a partition in which nothing is published belongs to nobody.
    """

    async def one_channel(channel: int) -> list[int]:
        for number in itertools.count():
            if enough.is_set():
                return list(range(number))
            await platform.publish(
                f"events.shop.order.c{channel}", {"number": number}, {"Nats-Msg-Id": f"test/{channel}-{number}"}
            )
            await asyncio.sleep(PAUSE_S)
        raise AssertionError

    published = await asyncio.gather(*(one_channel(channel) for channel in range(CHANNELS)))
    return {f"orders:c{channel}": numbers for channel, numbers in enumerate(published)}


EXPECTED = {f"orders:c{channel}": list(range(EVENTS // CHANNELS)) for channel in range(CHANNELS)}


async def _numbers(platform: Platform, expected: Mapping[str, Sequence[int]] = EXPECTED) -> dict[str, list[int]]:
    """Return, by channel, the numbers of the stored publications in their order, once as many as ``expected`` are."""
    found: dict[str, list[int]] = defaultdict(list)
    for channel, numbers in expected.items():
        for stored in await platform.await_stored(channel, len(numbers)):
            found[channel].append(body(stored)["data"]["number"])
    return found


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
    async with asyncio.timeout(TAKEOVER_S):
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
    first, enough = platform.notifier(), asyncio.Event()
    publishing = asyncio.create_task(_publish_until(platform, enough))
    await platform.await_stored("orders:c7", 1)
    second = platform.notifier()
    async with asyncio.timeout(TAKEOVER_S):
        shared = await _shared(platform, first, second)
    assert sorted(shared[first.instance] + shared[second.instance]) == list(range(8))
    first.kill()
    async with asyncio.timeout(TAKEOVER_S):
        assert await _shared(platform, second) == {second.instance: list(range(8))}
    enough.set()
    expected = await publishing
    assert await _numbers(platform, expected) == expected
