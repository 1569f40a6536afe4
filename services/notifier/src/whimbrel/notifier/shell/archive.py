"""Looks up whether a publication is stored already.

Streams know a Nats-Msg-Id for two minutes. Whoever repeats a publication after that, because the bus or every notifier
was away for longer, must look first: a second copy would reach every client.
"""

import asyncio
import json
from typing import Any, Final

from whimbrel.notifier.core.composition import Publication
from whimbrel.notifier.core.events import rfc3339
from whimbrel.protocol import subjects
from whimbrel.protocol.publications import MSG_ID
from whimbrel.runtime.delivery import Delivery, description, header, number, stamped
from whimbrel.runtime.errors import JetStreamRefused, NoResponders, RequestTimeout
from whimbrel.runtime.nats import Connection

PAGE: Final = 500  # messages per direct get
PAGE_BYTES: Final = 2 * 1024 * 1024
TIMEOUT_S: Final = 5.0
IN_FLIGHT: Final = 4  # the server answers direct gets of one connection one after the other
CLOCK_SKEW_NS: Final = 5_000_000_000  # between the servers that stamp events and publications


class Archive:
    """Direct gets from the streams that the notifier writes, over a connection of their own."""

    def __init__(self, bus: Connection, *, partitions: int) -> None:
        self._bus = bus
        self._partitions = partitions
        self._turns = asyncio.Semaphore(IN_FLIGHT)

    async def holds(self, publication: Publication) -> bool:
        """Tell whether ``publication`` is stored: by its id, among what its subject got since its event.

        Raises BusUnavailable, RequestTimeout, NoResponders, JetStreamRefused.
        """
        if publication.channel is None:
            stream, subject = subjects.DLQ, publication.subject
        else:
            stream = subjects.history_stream(subjects.partition_of(publication.channel, self._partitions))
            subject = subjects.stored_subject(publication.channel, self._partitions)
        since: dict[str, Any] = {"start_time": rfc3339(publication.stored_at_ns - CLOCK_SKEW_NS)}
        while True:
            page, left = await self._page(stream, subject, since)
            if any(header(raw, MSG_ID) == publication.id for raw in page):
                return True
            if not page or not left:
                return False
            since = {"seq": int(stamped(page[-1], "Nats-Sequence") or 0) + 1}

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
