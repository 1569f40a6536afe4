"""The journal of the pod's sessions: who came, who went and why, for `whimbrel why`.

What began and ended is written to stream SESSIONS at once, or where more comes, once a second in one message: a storm
costs the bus few of them. What is not written yet, and what lives, the pod tells when asked. A sign of life in bucket
PODS lets others see that the pod died without a word.
"""

import asyncio
import contextlib
import itertools
import time
from collections import deque
from collections.abc import Hashable
from typing import Any, ClassVar, Final, Protocol, TypeVar

import pydantic_core
from pydantic import ValidationError

from whimbrel.edge.core.hub import Hub
from whimbrel.edge.core.session import Session
from whimbrel.edge.core.states import State
from whimbrel.protocol import subjects
from whimbrel.protocol.bodies import Transport
from whimbrel.protocol.sessions import BEAT_S, KEPT_S, PodBeat, SessionBegun, SessionsQuestion
from whimbrel.runtime import jetstream
from whimbrel.runtime.errors import BusFault, JetStreamRefused
from whimbrel.runtime.kv import Bucket
from whimbrel.runtime.logs import Logger
from whimbrel.runtime.metrics import Metrics
from whimbrel.runtime.nats import Connection, Delivery

WRITE_S: Final = 1.0  # between two batches: at most what a killed pod does not tell any more
MAX_UNWRITTEN: Final = 10_000  # of beginnings and of ends, 5 MB; while the bus is away, the oldest are forgotten
MAX_BATCH_BYTES: Final = 192 * 1024  # of one message; the server takes 320 KiB
MAX_TOLD: Final = 100  # sessions per answer
GOODBYE_S: Final = 1.0  # for the last batch of a pod that leaves

Entry = TypeVar("Entry")
Record = dict[str, Any]  # the fields of a SessionRecord: making the model would cost each close 5 µs


class Carried(Hashable, Protocol):
    """A session and what carries it."""

    session: Session
    CARRIER: ClassVar[Transport]

    @property
    def opened_at(self) -> float:
        """When it began (Unix s)."""

    @property
    def behind(self) -> bool:
        """Whether it is being caught up from history."""


class Journal:
    """Notes what begins and ends, and knows who is connected."""

    def __init__(
        self,
        connection: Connection,
        pods: Bucket,
        pod: str,
        hub: Hub,
        log: Logger,
    ) -> None:
        self.dropped = 0  # beginnings and ends that were forgotten before they could be written
        self._connection = connection
        self._pods = pods
        self._pod = pod
        self._hub = hub
        self._log = log
        self._started_at = time.time()
        self._living: dict[str, Carried] = {}
        self._begun: deque[SessionBegun] = deque()
        self._ended: deque[Record] = deque()
        self._writing: list[Record] = []  # ends on their way to the stream
        self._noted = asyncio.Event()
        self._troubled = False

    # What happens

    def begun(self, carried: Carried) -> None:
        """Note that the client was told that it is connected."""
        session = carried.session
        assert session.identity is not None
        self._living[session.id] = carried
        self._note(self._begun, SessionBegun(session.id, session.identity.user, carried.CARRIER, carried.opened_at))

    def ended(self, carried: Carried, *, goodbye: bool) -> None:
        """Note how a session ended, and log it in one line; ``goodbye``: the client said so first."""
        record = self._record(carried)
        if self._living.pop(record["session"], None) is None:
            record["doing"].append("opening")
        record["closed_at"] = round(time.time(), 3)
        code = carried.session.closed_with
        if code is not None:
            record["ended_by"], record["code"] = "edge", int(code)
        else:
            record["ended_by"] = "client" if goodbye else "network"
        self._log.info(
            "session.closed",
            session=record["session"],
            slug=record["ended_by"] if code is None else code.slug,
            duration_s=round(record["closed_at"] - record["opened_at"], 3),
            **{name: value for name, value in record.items() if name not in _NOT_LOGGED},
        )
        if record["user"]:  # nobody else was told the name of the session
            self._note(self._ended, record)

    def _record(self, carried: Carried) -> Record:
        session, tally = carried.session, carried.session.tally
        known, ended = session.known, session.state is State.CLOSED
        return {
            "session": session.id,
            "pod": self._pod,
            "user": "" if known is None else known.user,
            "transport": carried.CARRIER,
            "opened_at": round(carried.opened_at, 3),
            "reason": tally.reason,
            "channels": tally.channels if ended else len(session.subscriptions.channels),
            "received": tally.received,
            "sent": max(0, tally.sent + (0 if ended else self._brought(carried))),
            "recovered": tally.recovered,
            "reloads": tally.reloads,
            "fell_behind": tally.fell_behind,
            "rate_limited": tally.rate_limited,
            "doing": ["behind"] if carried.behind else [],
        }

    def _brought(self, carried: Carried) -> int:
        """Return what the channels to which it is attached have brought since they were made; see ``Tally.sent``."""
        lives = (self._hub.channels.get(channel) for channel in carried.session.subscriptions.channels.values())
        return sum(live.delivered for live in lives if live is not None and live.serves(carried))

    def _note(self, waiting: deque[Any], entry: Any) -> None:
        if len(waiting) >= MAX_UNWRITTEN:
            waiting.popleft()
            self.dropped += 1
        waiting.append(entry)
        self._noted.set()

    # Asked

    async def open(self) -> None:
        """Answer the router's questions from now on."""
        await self._connection.subscribe(subjects.EDGE_SESSIONS, self._asked)

    def _asked(self, delivery: Delivery) -> None:
        try:
            question = SessionsQuestion.model_validate_json(delivery.payload)
        except ValidationError:  # of another version
            return
        living = (
            self._record(each)
            for name, each in self._living.items()  # 5 ms for 50,000, when somebody asks
            if name == question.session or (each.session.identity and each.session.identity.user == question.user)
        )
        ended = (
            each
            for each in (*reversed(self._ended), *reversed(self._writing))
            if each["session"] == question.session or (question.user is not None and each["user"] == question.user)
        )
        told = list(itertools.islice(itertools.chain(living, ended), MAX_TOLD))
        if delivery.reply:
            self._connection.send(delivery.reply, _json({"pod": self._pod, "sessions": told}))

    # Written

    async def run(self) -> None:
        """Write what there is to write, and every few seconds that the pod lives. Ends when cancelled."""
        beat_at = 0.0
        while True:
            if (left := beat_at - time.monotonic()) <= 0:
                left, beat_at = BEAT_S, time.monotonic() + BEAT_S
                await self._try(self._beat(stopped=False))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._noted.wait()
            if self._noted.is_set():
                self._noted.clear()
                await self._try(self._write())
                await asyncio.sleep(WRITE_S)

    async def close(self) -> None:
        """Write the rest, and that the pod has left as it should."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE_S):
                while (self._begun or self._ended) and await self._try(self._write()):
                    pass  # what ended meanwhile goes as well
                await self._try(self._beat(stopped=True))

    async def _write(self) -> None:
        left = len(self._begun) + len(self._ended)  # what comes meanwhile has its own turn: it would come in drops
        while left > 0:
            begun, ended = _take(self._begun, MAX_BATCH_BYTES // 2), _take(self._ended, MAX_BATCH_BYTES // 2)
            left -= len(begun) + len(ended)
            self._writing = [record for record, _ in ended]
            lists = (b",".join(encoded for _, encoded in each) for each in (begun, ended))
            batch = b'{"pod":"%b","begun":[%b],"ended":[%b]}' % (self._pod.encode(), *lists)
            try:
                await jetstream.publish(self._connection, subjects.sessions_subject(self._pod), batch)
            except BaseException:  # it may be written twice then: readers go by the session
                self._begun.extendleft(entry for entry, _ in reversed(begun))
                self._ended.extendleft(record for record, _ in reversed(ended))
                raise
            finally:
                self._writing = []

    async def _beat(self, *, stopped: bool) -> None:
        now = time.time()
        beat = PodBeat(pod=self._pod, at=now, started_at=self._started_at, sessions=len(self._living), stopped=stopped)
        await self._pods.put(self._pod, beat.model_dump_json().encode(), ttl_s=KEPT_S)

    async def _try(self, writing: Any) -> bool:
        """Tell whether it was written."""
        try:
            await writing
            self._troubled = False
            return True
        except (BusFault, JetStreamRefused) as error:
            self._noted.set()  # what could not be written is tried again
            if not self._troubled:
                self._log.warning("journal.delayed", waiting=len(self._begun) + len(self._ended), error=str(error))
            self._troubled = True
            return False

    def expose(self, metrics: Metrics) -> None:
        """Publish the counters."""
        metrics.counter(
            "whimbrel_edge_journal_dropped_total",
            "Beginnings and ends of sessions that could not be kept for `whimbrel why`.",
            lambda: self.dropped,
        )


_NOT_LOGGED: Final = frozenset({"session", "pod", "opened_at", "closed_at", "ended_by"})  # the line has its own


def _take(waiting: deque[Entry], room: int) -> list[tuple[Entry, bytes]]:
    """Take the oldest that fit into ``room`` bytes as JSON, at least one; return each with its JSON."""
    taken: list[tuple[Entry, bytes]] = []
    while waiting and room > 0:
        entry = waiting.popleft()
        encoded = _json(entry)
        room -= len(encoded)
        taken.append((entry, encoded))
    return taken


def _json(value: object) -> bytes:
    return pydantic_core.to_json(value)
