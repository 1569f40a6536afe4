"""Looks up whether an event stands in EVENTS already, with the same id, subject and payload: then its second copy is
dropped. One with another payload is none: so a team mends a dead letter.

What became of the first copy is not asked: it is handled before this one, or a dead letter for an operator to replay.
A repeat within two minutes fares no better, for the stream itself drops it.
"""

import asyncio
import random
from collections.abc import Callable
from typing import Final

from whimbrel.notifier.core.events import Message, rfc3339
from whimbrel.notifier.core.repeats import Copy
from whimbrel.protocol import subjects
from whimbrel.protocol.publications import MSG_ID
from whimbrel.runtime import catalogue
from whimbrel.runtime.delivery import header
from whimbrel.runtime.directget import DirectGet
from whimbrel.runtime.errors import BusFault, JetStreamRefused
from whimbrel.runtime.logs import Logger

AT_ONCE: Final = 4  # look-ups: the server answers one read after the other, and each has 2 s from when it is asked
PAGE: Final = 200  # events per request
MAX_PAGES: Final = 10  # of one entity since then, some 20 ms of a server; who has more to say repeats nothing so late
AGAIN_S: Final = 0.25  # a replica that lags, or a server that is away
GIVE_UP_S: Final = 60.0  # of failures, while its partition waits; then an event that comes twice is the lesser evil


class Repeats:
    """Look-ups over ``reads``, ``AT_ONCE`` at a time."""

    def __init__(self, reads: DirectGet, log: Logger, *, clock: Callable[[], float]) -> None:
        self._reads = reads
        self._log = log
        self._clock = clock
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._asking: set[asyncio.Task[None]] = set()

    def look_up(
        self, subject: str, message: Message, since_ns: int, *, tell: Callable[[Copy], None], over: Callable[[], bool]
    ) -> None:
        """Have ``tell`` called with what ``message``, kept under ``subject``, is: a repeat where it has a first copy
        since ``since_ns`` (Unix ns). What cannot be found out within ``GIVE_UP_S`` counts as the first; nothing is
        told once all is ``over``.
        """
        task = asyncio.create_task(self._ask(subject, message, since_ns, tell, over))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def _ask(
        self, subject: str, message: Message, since_ns: int, tell: Callable[[Copy], None], over: Callable[[], bool]
    ) -> None:
        give_up_at: float | None = None
        complained = False
        while True:
            copy, reason = Copy.UNKNOWN, "its replica lags"
            async with self._turns:
                if over():
                    return
                give_up_at = give_up_at or self._clock() + GIVE_UP_S  # waiting for the first turn is no failure
                try:
                    copy = await self._find(subject, message, since_ns)
                except (BusFault, JetStreamRefused) as fault:
                    reason = str(fault)
                    if not complained:
                        self._log.warning("event.repeat_unknown", sequence=message.sequence, reason=reason)
                    complained = True
            if copy is Copy.UNKNOWN and self._clock() >= give_up_at and not over():
                copy = Copy.FIRST
                self._log.error(
                    "event.repeat_unsettled",
                    sequence=message.sequence,
                    reason=f"{reason}: delivered, maybe a second time. See whether the replicas of EVENTS are well",
                )
            if copy is not Copy.UNKNOWN:
                tell(copy)
                return
            await asyncio.sleep(AGAIN_S * random.uniform(0.5, 1.5))

    async def _find(self, subject: str, message: Message, since_ns: int) -> Copy:
        """Return what ``message`` is; unknown where the replica that answers has not got even itself."""
        kept_since_ns = message.stored_at_ns - catalogue.EVENTS_AGE  # what is older is gone, or about to be
        start, start_time = 1, rfc3339(max(since_ns, kept_since_ns))
        for _ in range(MAX_PAGES):
            batch = await self._reads.batch(subjects.EVENTS, subject, start, PAGE, start_time=start_time)
            for each in batch.messages:
                if each.seq >= message.sequence:
                    return Copy.FIRST
                if header(each.headers, MSG_ID) == message.headers[MSG_ID] and each.payload == message.payload:
                    return Copy.REPEAT
            if not batch.pending:
                return await self._without(message)
            start, start_time = batch.messages[-1].seq + 1, ""
        self._log.warning("event.repeat_unknown", sequence=message.sequence, reason="its entity has too many events")
        return Copy.FIRST

    async def _without(self, message: Message) -> Copy:
        """Return what ``message`` is, which the replica did not show: it lags, or the message is purged or expired."""
        newer = (await self._reads.batch(subjects.EVENTS, None, message.sequence, 1)).messages
        return Copy.FIRST if newer and newer[0].seq > message.sequence else Copy.UNKNOWN
