"""A publication that is older than the streams' memory of ids is looked up before it is sent again."""

from collections.abc import AsyncIterator

import pytest

from tests.notifier.events import EPOCH, a_message, an_event
from tests.notifier.platform import Platform
from tests.support.nats import PARTITIONS
from tests.support.waiting import within
from whimbrel.notifier.core.audience import Target
from whimbrel.notifier.core.composition import Publication, dead_letter, publications
from whimbrel.notifier.core.errors import Reason
from whimbrel.notifier.shell import archive as archives
from whimbrel.notifier.shell.archive import Archive
from whimbrel.protocol.channels import Channel
from whimbrel.runtime import jetstream
from whimbrel.runtime.nats import Connection

NOW = float("inf")  # later than any reading: read anew
ORDER = Target(Channel("orders", "42"), True)


@pytest.fixture
async def bus(platform: Platform) -> AsyncIterator[Connection]:
    bus = platform.connection("notifier")
    await within(bus.open())
    yield bus
    await bus.close(timeout=0.2)


class Clock:
    """Time that passes with each look at it."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


def an_archive(bus: Connection) -> Archive:
    return Archive(bus, partitions=PARTITIONS, clock=Clock())


def a_publication(sequence: int) -> Publication:
    (one,) = publications(an_event(), [ORDER], a_message(sequence=sequence), epoch=EPOCH)
    return one


async def store(bus: Connection, publication: Publication) -> None:
    await jetstream.publish(bus, publication.subject, publication.body, publication.headers)


async def test_a_publication_is_found_by_its_id_among_those_of_its_channel(bus: Connection) -> None:
    archive = an_archive(bus)
    assert not await archive.holds(a_publication(1), as_of=NOW)
    for sequence in (1, 2, 3):
        await store(bus, a_publication(sequence))
    assert await archive.holds(a_publication(2), as_of=NOW)
    assert not await archive.holds(a_publication(4), as_of=NOW)


async def test_the_look_up_goes_on_behind_the_first_page(bus: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "PAGE", 2)
    archive = an_archive(bus)
    for sequence in range(1, 6):
        await store(bus, a_publication(sequence))
    assert await archive.holds(a_publication(5), as_of=NOW)
    assert not await archive.holds(a_publication(6), as_of=NOW)


async def test_what_is_older_than_the_event_is_not_read(bus: Connection) -> None:
    archive = an_archive(bus)
    await store(bus, a_publication(1))
    later = a_publication(1)
    later.stored_at_ns = 4_000_000_000 * 10**9
    assert not await archive.holds(later, as_of=NOW)


async def test_a_dead_letter_is_found_as_well(bus: Connection) -> None:
    archive = an_archive(bus)
    letter = dead_letter(a_message(), Reason.UNROUTABLE, "no route", epoch=EPOCH, max_bytes=10_000)
    assert not await archive.holds(letter, as_of=NOW)
    await store(bus, letter)
    assert await archive.holds(letter, as_of=NOW)


async def test_a_reading_is_kept_for_all_that_was_in_doubt_before_it(bus: Connection) -> None:
    archive = an_archive(bus)
    await store(bus, a_publication(1))
    assert await archive.holds(a_publication(1), as_of=0)
    await store(bus, a_publication(2))
    assert not await archive.holds(a_publication(2), as_of=0)
    assert await archive.holds(a_publication(2), as_of=2)
    earlier = a_publication(3)
    await store(bus, earlier)
    earlier.stored_at_ns -= 1
    assert await archive.holds(earlier, as_of=0)


async def test_a_dead_letter_in_the_place_of_a_publication_is_looked_up_among_the_dead_letters(bus: Connection) -> None:
    archive = an_archive(bus)
    refused = a_publication(1)
    assert not await archive.holds(refused, as_of=0)
    letter = dead_letter(a_message(sequence=1), Reason.TOO_LARGE, "too large", epoch=EPOCH, max_bytes=1000)
    await store(bus, letter)
    refused.become(letter)
    assert await archive.holds(refused, as_of=0), "what is known of its channel says nothing of the letter"
