"""What became superfluous in an inbox is deleted there, one for each one that comes in: on a real bus."""

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest

from tests.notifier.events import EPOCH, a_message, an_event
from tests.notifier.platform import Platform, body
from tests.support.nats import PARTITIONS
from tests.support.waiting import within
from whimbrel.notifier.core.audience import Target
from whimbrel.notifier.core.composition import Publication, publications
from whimbrel.notifier.shell import removals
from whimbrel.notifier.shell.archive import Archive
from whimbrel.notifier.shell.removals import Removals
from whimbrel.protocol.channels import inbox_of
from whimbrel.runtime import jetstream
from whimbrel.runtime.directget import DirectGet
from whimbrel.runtime.logs import Logger
from whimbrel.runtime.nats import Connection

ALICE = Target(inbox_of("alice"), True)
NOW = float("inf")


@pytest.fixture
async def bus(platform: Platform) -> AsyncIterator[Connection]:
    bus = platform.connection("notifier")
    await within(bus.open())
    yield bus
    await bus.close(timeout=0.2)


def some_removals(bus: Connection) -> Removals:
    return Removals(bus, DirectGet(bus), Logger(logging.getLogger("whimbrel.test")), partitions=PARTITIONS)


def a_publication(sequence: int, **headers: str) -> Publication:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    event = an_event(sequence, {"ce-id": f"e{sequence}", **named})
    (one,) = publications(event, [ALICE], a_message(sequence=sequence), epoch=EPOCH)
    return one


async def store(bus: Connection, publication: Publication, *told: Removals) -> None:
    """Store it as the publisher does; ``told`` hear of it, and do what there is to do."""
    ack = await jetstream.publish(bus, publication.subject, publication.body, publication.headers)
    for each in told:
        each.stored(publication, ack.seq)
        await done(each)


async def done(ours: Removals) -> None:
    """Do what waits to be done."""
    for waiting in ours._waiting:
        while not waiting.empty():
            await within(ours._make_room(waiting.get_nowait()))


async def left(platform: Platform) -> list[int]:
    """Return which of Alice's publications are left, by the sequences of their events."""
    return [
        int((each.headers.split(b"Nats-Msg-Id: 5eed-")[1]).split(b"-")[0])
        for each in await platform.stored("user:alice")
    ]


async def test_of_a_topic_one_is_left(platform: Platform, bus: Connection) -> None:
    ours = some_removals(bus)
    for sequence, topic in enumerate(("a", "b", "a", "a", "b"), 1):
        await store(bus, a_publication(sequence, whimbrel_topic=topic), ours)
    await store(bus, a_publication(6), ours)
    assert await left(platform) == [4, 5, 6]
    assert ours.removed == 3


async def test_a_notifier_that_starts_anew_finds_what_is_left_of_a_topic(platform: Platform, bus: Connection) -> None:
    await store(bus, a_publication(1, whimbrel_topic="a"), some_removals(bus))
    await store(bus, a_publication(2, whimbrel_topic="a"), some_removals(bus))
    assert await left(platform) == [2]


async def test_one_goes_for_each_one_that_comes_however_many_are_superfluous(
    platform: Platform, bus: Connection
) -> None:
    for sequence in (1, 2, 3):
        await store(bus, a_publication(sequence, whimbrel_topic="a"))  # by a notifier that died each time
    ours = some_removals(bus)
    await store(bus, a_publication(4, whimbrel_topic="a"), ours)
    assert await left(platform) == [2, 3, 4]
    await store(bus, a_publication(5, whimbrel_topic="a"), ours)
    assert await left(platform) == [3, 4, 5]


async def test_what_is_withdrawn_goes_by_its_event_or_by_its_topic(platform: Platform, bus: Connection) -> None:
    ours = some_removals(bus)
    await store(bus, a_publication(1), ours)
    await store(bus, a_publication(2, whimbrel_topic="a"), ours)
    await store(bus, a_publication(3, whimbrel_withdraw="e1"), ours)
    assert await left(platform) == [2, 3]
    await store(bus, a_publication(4, whimbrel_withdraw_topic="a"), ours)
    assert await left(platform) == [3, 4]
    await store(bus, a_publication(5, whimbrel_withdraw="e1"), ours)
    await store(bus, a_publication(6, whimbrel_topic="a"), ours)
    assert await left(platform) == [3, 4, 5, 6], "withdrawals stay: who was away longer has to hear of them"


async def test_the_newest_of_a_topic_stays_when_its_event_is_withdrawn(platform: Platform, bus: Connection) -> None:
    """It is not shown; what it took the place of, and is left by a notifier that died, would be."""
    await store(bus, a_publication(1, whimbrel_topic="a"))
    await store(bus, a_publication(2, whimbrel_topic="a"))
    await store(bus, a_publication(3, whimbrel_withdraw="e2"), some_removals(bus))
    assert await left(platform) == [1, 2, 3]


async def test_an_acknowledgement_that_comes_late_removes_nothing_newer(platform: Platform, bus: Connection) -> None:
    ours = some_removals(bus)
    await store(bus, a_publication(1, whimbrel_topic="a"), ours)
    ack = await jetstream.publish(bus, (two := a_publication(2, whimbrel_topic="a")).subject, two.body, two.headers)
    await store(bus, a_publication(3, whimbrel_topic="a"), ours)
    ours.stored(two, ack.seq)
    await done(ours)
    assert await left(platform) == [2, 3]
    await store(bus, a_publication(4, whimbrel_topic="a"), ours)
    await store(bus, a_publication(5, whimbrel_topic="a"), ours)
    assert await left(platform) == [4, 5]


async def test_the_search_goes_on_behind_the_first_page(
    platform: Platform, bus: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removals, "PAGE", 2)
    for sequence in range(1, 6):
        await store(bus, a_publication(sequence))
    await store(bus, a_publication(6, whimbrel_withdraw="e5"), some_removals(bus))
    assert await left(platform) == [1, 2, 3, 4, 6]


async def test_a_topic_that_was_forgotten_is_searched_for(
    platform: Platform, bus: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removals, "MAX_KNOWN", 1)
    ours = some_removals(bus)
    for sequence, topic in enumerate(("a", "b", "a", "b"), 1):
        await store(bus, a_publication(sequence, whimbrel_topic=topic), ours)
    assert len(ours._known) == 1
    assert await left(platform) == [3, 4]


async def test_with_too_much_to_do_the_superfluous_stays(
    platform: Platform, bus: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removals, "MAX_WAITING", 1)
    ours = some_removals(bus)
    for sequence in (1, 2, 3):
        ours.stored(a_publication(sequence, whimbrel_topic="a"), sequence)
    assert ours.skipped == 2


async def test_a_publication_that_was_overtaken_and_deleted_is_not_stored_again(
    platform: Platform, bus: Connection
) -> None:
    """A notifier died behind it, and minutes later the next one has it again."""
    ours = some_removals(bus)
    archive = Archive(bus, partitions=PARTITIONS, clock=iter(range(1000)).__next__)
    await store(bus, a_publication(1, whimbrel_topic="a"), ours)
    await store(bus, a_publication(2), ours)
    await store(bus, a_publication(3, whimbrel_topic="a"), ours)
    await store(bus, a_publication(4, whimbrel_withdraw="e2"), ours)
    assert await left(platform) == [3, 4]
    for sequence, headers in ((1, {"whimbrel_topic": "a"}), (2, {}), (3, {"whimbrel_topic": "a"})):
        assert await archive.holds(a_publication(sequence, **headers), as_of=NOW)
    assert not await archive.holds(a_publication(5, whimbrel_topic="a"), as_of=NOW)
    assert not await archive.holds(a_publication(6), as_of=NOW)


async def test_a_notifier_removes_what_its_events_make_superfluous(platform: Platform) -> None:
    """The whole process: a team publishes, an inbox keeps the newest."""
    await platform.serving(platform.notifier())
    for number in range(3):
        headers = {"whimbrel-users": "alice", "whimbrel-topic": "cart"}
        await platform.publish("events.shop.cart.1", {"items": number}, headers)
    await platform.publish("events.shop.cart.1", {}, {"whimbrel-users": "alice"})
    found = await platform.await_stored("user:alice", 1)
    async with asyncio.timeout(20):
        while [body(each)["data"] for each in found] != [{"items": 2}, {}]:  # nothing tells of it
            await asyncio.sleep(0.02)  # between two looks
            found = await platform.stored("user:alice")
