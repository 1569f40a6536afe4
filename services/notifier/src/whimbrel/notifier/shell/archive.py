"""Looks up whether a publication is stored already.

Streams know a Nats-Msg-Id for two minutes. Whoever repeats a publication after that, because the bus or every notifier
was away for longer, must look first: a second copy would reach every client.
"""

import asyncio
import json
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from whimbrel.notifier.core.composition import Publication
from whimbrel.notifier.core.events import rfc3339
from whimbrel.notifier.core.identity import event_sequence
from whimbrel.protocol import subjects
from whimbrel.protocol.publications import MSG_ID, TOPIC, WITHDRAW, WITHDRAW_TOPIC
from whimbrel.runtime.delivery import Delivery, description, header, number, stamped
from whimbrel.runtime.errors import JetStreamRefused, NoResponders, RequestTimeout
from whimbrel.runtime.nats import Connection

PAGE: Final = 500  # messages per direct get
PAGE_BYTES: Final = 2 * 1024 * 1024
TIMEOUT_S: Final = 5.0
IN_FLIGHT: Final = 4  # the server answers direct gets of one connection one after the other
MAX_REMEMBERED: Final = 200_000  # ids, some 30 MB; beyond, all are forgotten and read again
CLOCK_SKEW_NS: Final = 5_000_000_000  # between the servers that stamp events and publications


class _Reading(NamedTuple):
    """The ids stored for one subject since ``since_ns``, as of ``read_at``."""

    since_ns: int
    read_at: float
    epoch: str
    ids: set[str]
    topics: dict[str, int]  # by topic, the newest event that set or withdrew it
    withdrawn: dict[str, int]  # events taken back, by which event


class Archive:
    """Direct gets from the streams that the notifier writes, over a connection of their own."""

    def __init__(self, bus: Connection, *, partitions: int, clock: Callable[[], float]) -> None:
        """``clock`` counts seconds and never goes back."""
        self._bus = bus
        self._partitions = partitions
        self._clock = clock
        self._turns = asyncio.Semaphore(IN_FLIGHT)
        self._readings: dict[str, _Reading] = {}
        self._remembered = 0

    async def holds(self, publication: Publication, *, as_of: float) -> bool:
        """Tell whether ``publication`` was stored by ``as_of`` (a time of ``clock``): by its id, among what its subject
        got since its event.

        A reading is kept for the next question: after a long absence a thousand events may ask about one channel.
        Raises BusUnavailable, RequestTimeout, NoResponders, JetStreamRefused.
        """
        known = self._readings.get(publication.subject)
        if known is None or known.since_ns > publication.stored_at_ns or known.read_at < as_of:
            known = await self._read(publication)
        return publication.id in known.ids or _overtaken(publication, known)

    async def _read(self, publication: Publication) -> _Reading:
        if publication.channel is None:
            stream, subject = subjects.DLQ, publication.subject
        else:
            stream = subjects.history_stream(subjects.partition_of(publication.channel, self._partitions))
            subject = subjects.stored_subject(publication.channel, self._partitions)
        since_ns = publication.stored_at_ns
        reading = _Reading(since_ns, self._clock(), publication.id.partition("-")[0], set(), {}, {})
        start: dict[str, Any] = {"start_time": rfc3339(since_ns - CLOCK_SKEW_NS)}
        left = 1
        while left:
            page, left = await self._page(stream, subject, start)
            for raw in page:
                _note(reading, raw)
            if page:
                start = {"seq": int(stamped(page[-1], "Nats-Sequence") or 0) + 1}
        self._remembered += len(reading.ids)
        if self._remembered > MAX_REMEMBERED:
            self._readings.clear()
            self._remembered = len(reading.ids)
        self._readings[publication.subject] = reading
        return reading

    async def _page(self, stream: str, subject: str, since: dict[str, Any]) -> tuple[list[bytes], int]:
        """Return the headers of the messages and how many are left behind them."""
        found: list[bytes] = []
        complete: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def receive(delivery: Delivery) -> None:
            match delivery.status():
                case 0:
                    found.append(delivery.headers or b"")
                case 204:
                    complete.set_result(number(delivery.headers, "Nats-Num-Pending"))
                case 404:
                    complete.set_result(0)
                case 503:
                    complete.set_exception(NoResponders(f"no replica of stream {stream} answers"))
                case status:
                    complete.set_exception(JetStreamRefused(status, 0, description(delivery.headers)))

        request = {**since, "next_by_subj": subject, "batch": PAGE, "max_bytes": PAGE_BYTES}
        try:
            async with asyncio.timeout(TIMEOUT_S), self._turns:
                address = self._bus.inbox.collect(receive, complete)
                self._bus.send(f"$JS.API.DIRECT.GET.{stream}", json.dumps(request).encode(), reply=address)
                return found, await complete
        except TimeoutError:
            raise RequestTimeout(f"no complete answer from stream {stream} within {TIMEOUT_S} s") from None
        finally:
            if not complete.cancel() and not complete.cancelled():
                complete.exception()  # the deadline was faster: nobody else looks at it


def _note(reading: _Reading, raw: bytes) -> None:
    stored_id = header(raw, MSG_ID)
    if stored_id is None:
        return
    reading.ids.add(stored_id)
    topic, event = header(raw, TOPIC) or header(raw, WITHDRAW_TOPIC), header(raw, WITHDRAW)
    sequence = event_sequence(stored_id, reading.epoch)
    if topic is not None:
        reading.topics[topic] = max(sequence, reading.topics.get(topic, 0))
    if event is not None:
        reading.withdrawn[event] = max(sequence, reading.withdrawn.get(event, 0))


def _overtaken(publication: Publication, reading: _Reading) -> bool:
    """Tell whether a newer event overtook or withdrew ``publication`` in its inbox: it was stored, and deleted then."""
    place = publication.place
    if place is None:
        return False
    newest = max(reading.topics.get(place.topic, 0), reading.withdrawn.get(place.event_id, 0))
    return newest > publication.sequence
