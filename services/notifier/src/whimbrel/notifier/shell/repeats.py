"""Looks up whether an event stands in EVENTS already, under the same id and subject: then its second copy is dropped.

What became of the first copy is not asked: it is handled before this one, or a dead letter for an operator to replay.
A repeat within two minutes fares no better, for the stream itself drops it.
"""

import asyncio
import random
from collections.abc import Callable
from typing import Final

from whimbrel.notifier.core.events import Message, rfc3339
from whimbrel.protocol import subjects
from whimbrel.protocol.publications import MSG_ID
from whimbrel.runtime.delivery import header
from whimbrel.runtime.directget import DirectGet
from whimbrel.runtime.errors import BusFault, JetStreamRefused
from whimbrel.runtime.logs import Logger

PAGE: Final = 200  # events per request
MAX_PAGES: Final = 10  # of one entity since then, some 20 ms of a server; who has more to say repeats nothing so late
AGAIN_S: Final = 0.25  # a replica that lags, or a server that is away


class Repeats:
    """Look-ups over ``reads``, as many at a time as that allows."""

    def __init__(self, reads: DirectGet, log: Logger) -> None:
        self._reads = reads
        self._log = log
        self._asking: set[asyncio.Task[None]] = set()

    def look_up(
        self, subject: str, message: Message, since_ns: int, *, tell: Callable[[bool], None], over: Callable[[], bool]
    ) -> None:
        """Have ``tell`` called with whether ``message``, kept under ``subject``, has a first copy since ``since_ns``
        (Unix ns); asks until the stream can be read, or all is ``over``.
        """
        task = asyncio.create_task(self._ask(subject, message, since_ns, tell, over))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def _ask(
        self, subject: str, message: Message, since_ns: int, tell: Callable[[bool], None], over: Callable[[], bool]
    ) -> None:
        while not over():
            try:
                found = await self._has_first(subject, message, since_ns)
            except (BusFault, JetStreamRefused) as fault:
                self._log.warning("event.repeat_unknown", sequence=message.sequence, reason=str(fault))
            else:
                if found is not None:
                    tell(found)
                    return
            await asyncio.sleep(AGAIN_S * random.uniform(0.5, 1.5))

    async def _has_first(self, subject: str, message: Message, since_ns: int) -> bool | None:
        """Return whether there is one; None where the replica that answers has not got even ``message``."""
        batch = await self._reads.batch(subjects.EVENTS, subject, 1, PAGE, start_time=rfc3339(since_ns))
        for _ in range(MAX_PAGES):
            for each in batch.messages:
                if each.seq >= message.sequence:
                    return False
                if header(each.headers, MSG_ID) == message.headers[MSG_ID]:
                    return True
            if not batch.pending:
                return None
            batch = await self._reads.batch(subjects.EVENTS, subject, batch.messages[-1].seq + 1, PAGE)
        self._log.warning("event.repeat_unknown", sequence=message.sequence, reason="its entity has too many events")
        return False
