"""The gap ledger: every client that is told ``recovered: false``, and why, for `whimbrel gaps`.

Counted in a metric, told in one log line, and written to stream GAPS: the first of each cause one by one, those of a
storm counted together (``core.gaps``). Written at most once a second; what a killed pod had not written is in its log.
"""

import asyncio
import contextlib
import time
from collections import deque
from typing import Final, cast

from whimbrel.edge.core.gaps import During, Ledger
from whimbrel.edge.core.hub import LiveChannel
from whimbrel.edge.core.opening import Opening
from whimbrel.edge.core.recovery import Unrecoverable
from whimbrel.edge.core.subscription import Opened
from whimbrel.edge.shell.journal import Carried
from whimbrel.protocol import subjects
from whimbrel.protocol.gaps import Gap, GapBatch
from whimbrel.protocol.positions import Position
from whimbrel.runtime import jetstream
from whimbrel.runtime.errors import BusFault, JetStreamRefused
from whimbrel.runtime.logs import Logger
from whimbrel.runtime.metrics import Metrics
from whimbrel.runtime.nats import Connection

WRITE_S: Final = 1.0  # between two batches
MAX_UNWRITTEN: Final = 2_000  # entries, 1 MB; while the bus is away, the oldest are forgotten
BATCH: Final = 100  # entries of one message: 150 KiB where all names are as long as may be, and the server takes 320
GOODBYE_S: Final = 1.0  # for the last batch of a pod that leaves


class Gaps:
    """Notes whom the pod told to reload."""

    def __init__(self, connection: Connection, pod: str, log: Logger) -> None:
        self.dropped = 0  # entries that were forgotten before they could be written
        self._connection = connection
        self._pod = pod
        self._log = log
        self._ledger = Ledger(now=time.monotonic())
        self._unwritten: deque[Gap] = deque()
        self._noted = asyncio.Event()
        self._troubled = False

    # What happens

    def opened(
        self, opening: Opening, opened: Opened, during: During, *, user: str, session: str, transport: str
    ) -> None:
        """Note that a client who gave a position is told to reload."""
        why, asked = opening.unrecoverable, opening.wanted.position
        assert why is not None
        assert asked is not None
        who = {"user": user, "session": session, "transport": transport, "trace": opening.trace}
        self._note(opening.live, asked, opened, why, during, **who)

    def reset(self, live: LiveChannel, before: Opened, why: Unrecoverable) -> None:
        """Note that everybody in ``live`` is told to reload; ``before`` is where they were."""
        asked = Position(epoch=before.epoch, offset=before.offset)
        members = live.members
        for member in members:
            cast(Carried, member).session.tally.reloads += 1
        for number, member in enumerate(members, 1):
            carried = cast(Carried, member)
            session = carried.session
            user = "" if session.known is None else session.known.user
            who = {"user": user, "session": session.id, "transport": carried.CARRIER}
            if not self._note(live, asked, live.now(), why, "live", **who):
                rest = len(members) - number
                self._ledger.count(why.cause, "live", str(live.channel), wall=time.time(), clients=rest)
                break

    def _note(
        self,
        live: LiveChannel,
        asked: Position,
        found: Opened,
        why: Unrecoverable,
        during: During,
        **who: str,
    ) -> bool:
        wall = time.time()
        channel = str(live.channel)
        whole = self._ledger.note(why.cause, during, channel, wall=wall)
        if whole:
            self._tell(
                Gap(
                    at=round(wall, 3),
                    pod=self._pod,
                    cause=why.cause,
                    during=during,
                    channel=channel,
                    asked=asked,
                    found=Position(epoch=found.epoch, offset=found.offset),
                    missed=why.missed,
                    **who,
                )
            )
        self._noted.set()
        return whole

    def _tell(self, gap: Gap) -> None:
        self._log.warning("client.reloads", **gap.model_dump(exclude={"at", "pod"}, exclude_defaults=True))
        if len(self._unwritten) >= MAX_UNWRITTEN:
            self._unwritten.popleft()
            self.dropped += 1
        self._unwritten.append(gap)

    # Written

    async def run(self) -> None:
        """Write what there is to write. Ends when cancelled."""
        while True:
            await self._noted.wait()
            self._noted.clear()
            await asyncio.sleep(WRITE_S)
            if self._ledger.counting:
                if time.monotonic() >= self._ledger.window_ends:
                    self._end_window()
                else:
                    self._noted.set()  # look again until it ends
            await self._try()

    async def close(self) -> None:
        """Write the rest."""
        self._end_window()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE_S):
                await self._try()

    def _end_window(self) -> None:
        for each in self._ledger.end_window(now=time.monotonic()):
            self._tell(Gap(pod=self._pod, **each._asdict()))

    async def _try(self) -> None:
        try:
            while self._unwritten:
                batch = GapBatch(gaps=tuple(self._unwritten)[:BATCH])
                payload = batch.model_dump_json(exclude_defaults=True).encode()
                await jetstream.publish(self._connection, subjects.gaps_subject(self._pod), payload)
                for gap in batch.gaps:  # unless it was forgotten meanwhile
                    if self._unwritten and self._unwritten[0] is gap:
                        self._unwritten.popleft()
            self._troubled = False
        except (BusFault, JetStreamRefused) as error:
            self._noted.set()  # what could not be written is tried again
            if not self._troubled:
                self._log.warning("gaps.delayed", waiting=len(self._unwritten), error=str(error))
            self._troubled = True

    def expose(self, metrics: Metrics) -> None:
        """Publish the counters."""
        metrics.labelled(
            "whimbrel_edge_gaps_total",
            "Channels that a client was told to reload (`recovered: false`), by cause.",
            "counter",
            ("cause",),
            lambda: self._ledger.totals,
        )
        metrics.counter(
            "whimbrel_edge_gaps_dropped_total",
            "Entries that could not be kept for `whimbrel gaps`; they are in the log.",
            lambda: self.dropped,
        )
