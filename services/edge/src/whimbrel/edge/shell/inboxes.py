"""Reads inboxes for those who ask what is in them, beside any subscription.

One reading of an inbox at a time, and few on a pod: a full one is 1,100 messages, up to 0.1 s of a server's time where
they lie far apart, and a user may ask 400 times a second.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Final

from whimbrel.edge.core.hub import Hub
from whimbrel.edge.core.inbox import Contents, Head, count_and_list, is_full, page_of, read_head
from whimbrel.edge.core.ring import Stored
from whimbrel.edge.shell.readmarks import ReadMarks
from whimbrel.edge.shell.streams import Streams
from whimbrel.protocol.channels import Channel
from whimbrel.protocol.frames import History, Inbox

AT_ONCE: Final = 4  # of all inboxes; the recovery connections take 8 reads each
BODIES_BYTES: Final = 4 * 1024 * 1024  # of one inbox in memory: the newest; what is older is counted, not listed


def rfc3339_now() -> str:
    """Return the time of day as the notifier writes `expires`."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Inboxes:
    """Answers `inbox`, and `history` of an inbox."""

    def __init__(self, hub: Hub, streams: Streams, marks: ReadMarks) -> None:
        self._hub = hub
        self._streams = streams
        self._marks = marks
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._readers: dict[Channel, tuple[asyncio.Lock, int]] = {}  # with how many hold or await it

    async def answer(self, frame: Inbox, channel: Channel, user: str) -> bytes:
        """Return the JSON members of the answer to ``frame``. Raises BusFault, JetStreamRefused."""
        epoch = self._streams.epoch(channel)
        mark = await self._marks.read(user, channel)
        read = mark.offset if mark is not None and mark.epoch == epoch else 0
        only_unread = frame.unread or frame.limit == 0
        contents = await self._read(channel, read if only_unread else 0, frame.before)
        return count_and_list(
            contents,
            read=read,
            unread=only_unread,
            before=frame.before,
            limit=frame.limit,
            epoch=epoch,
            now=rfc3339_now(),
        )

    async def history(self, frame: History, channel: Channel) -> list[Stored]:
        """Return the messages that ``frame`` asks for, oldest first. Raises BusFault, JetStreamRefused."""
        contents = await self._read(channel, 0, frame.before)
        return page_of(contents, after=frame.after, before=frame.before, limit=frame.limit, now=rfc3339_now())

    async def _read(self, channel: Channel, after: int, before: int | None) -> Contents:
        """Read everything stored after offset ``after``, with the bodies of what lies ``before``."""
        heads: list[Head] = []
        bodies: deque[tuple[int, bytes]] = deque()
        size = 0

        def take(offset: int, body: bytes) -> None:
            nonlocal size
            heads.append(read_head(offset, body))
            if before is None or offset < before:
                bodies.append((offset, body))
                size += len(body)
                while size > BODIES_BYTES:
                    size -= len(bodies.popleft()[1])

        async with self._alone(channel), self._turns:
            async for offset, body in self._streams.all_after(channel, after):
                take(offset, body)
        live = self._hub.channels.get(channel)
        last = heads[-1].offset if heads else after
        if live is not None and live.ring is not None and last < live.ring.head:  # a replica that lags answered
            for each in live.ring.since(max(last, live.ring.reach)) or ():
                take(each.offset, each.body)
        return Contents(heads, dict(bodies), is_full(len(heads)))

    @asynccontextmanager
    async def _alone(self, channel: Channel) -> AsyncIterator[None]:
        lock, users = self._readers.get(channel, (asyncio.Lock(), 0))
        self._readers[channel] = lock, users + 1
        try:
            async with lock:
                yield
        finally:
            lock, users = self._readers[channel]
            if users == 1:
                del self._readers[channel]
            else:
                self._readers[channel] = lock, users - 1
