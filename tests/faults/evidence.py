"""What the streams hold of what their acknowledgements said: whose the fault is, where something did not come.

An event that EVENTS no longer holds, or under another number than the one acknowledged, was lost by nats-server. One
that it holds and whose publications are not in their history was lost by the notifier, unless that history was purged.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Final
from urllib.parse import urlsplit

import nats
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError

from tests.faults.records import History
from tests.support.dev import Development
from whimbrel.cli.dev.store import Store
from whimbrel.notifier.core.identity import event_sequence
from whimbrel.protocol import subjects
from whimbrel.protocol.channels import Channel
from whimbrel.protocol.publications import MSG_ID

TIMEOUT_S: Final = 30.0  # in all: what broke may still be away


async def evidence(development: Development, history: History, *, partitions: int) -> list[str]:
    """Return one line for each acknowledged event that its stream does not hold, and for each of its publications."""
    password = Store(development.store).secrets()["nats_router"]
    address = urlsplit(development.nats).netloc.rpartition("@")[2]
    found: list[str] = []
    try:
        async with asyncio.timeout(TIMEOUT_S):
            bus = await nats.connect(f"nats://router:{password}@{address}", inbox_prefix="_INBOX.router")
            try:
                async for line in _missing(bus.jetstream(), history, partitions):
                    found.append(line)
            finally:
                await bus.close()
    except (nats.errors.Error, OSError, TimeoutError) as trouble:
        found.append(f"the streams could not be asked: {trouble!r}")
    return found


async def _missing(streams: JetStreamContext, history: History, partitions: int) -> AsyncIterator[str]:
    lost: dict[int, set[int]] = {}  # by publisher, so that each event is asked for once
    for channel, published in sorted(history.published.items()):
        if id(published) not in lost:
            lost[id(published)] = set()
            for number, sequence in sorted(published.acked.items()):
                held = await _id_at(streams, sequence)
                wanted = f"faults/{channel.partition(':')[2].rpartition('-')[0]}-{number}"
                if held != wanted:
                    lost[id(published)].add(number)
                    yield f"EVENTS acknowledged {wanted} as {sequence}, and holds {held or 'nothing'} there"
        if channel in history.trimmed:
            continue
        kept = {sequence async for sequence in _events_in(streams, Channel.parse(channel), partitions)}
        for number, sequence in sorted(published.acked.items()):
            if number not in lost[id(published)] and sequence not in kept:
                yield f"EVENTS holds {number} of {channel} as {sequence}, and its history does not"


async def _id_at(streams: JetStreamContext, sequence: int) -> str:
    try:
        message = await streams.get_msg(subjects.EVENTS, sequence)
    except NotFoundError:
        return ""
    return str((message.headers or {}).get(MSG_ID, ""))


async def _events_in(streams: JetStreamContext, channel: Channel, partitions: int) -> AsyncIterator[int]:
    """Yield the sequence in EVENTS of each publication that the history of ``channel`` keeps."""
    stream = subjects.history_stream(subjects.partition_of(channel, partitions))
    subject = subjects.stored_subject(channel, partitions)
    sequence = 1
    while True:
        try:
            message = await streams.get_msg(stream, sequence, subject=subject, next=True)
        except NotFoundError:
            return
        assert message.seq is not None
        stored_id = (message.headers or {}).get(MSG_ID, "")
        yield event_sequence(stored_id, stored_id.partition("-")[0])
        sequence = message.seq + 1
