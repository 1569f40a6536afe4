"""Direct gets: reading stored messages without a consumer (ADR-31), batched; nats-py has single ones only.

Answered by any replica of the stream, inside the server's loop for the asking connection. So: never on the connection
that carries live deliveries, few at a time, each with a deadline; and an answer may be a few milliseconds old (3–19
% of reads right after an ack, in a cluster).

What exactly comes back was found by trial with nats-server 2.15.1; tests/runtime/test_directget.py holds the server
to it.

``multi_last``
    The newest message of each subject that has one, by sequence; then the end (204 EOB) with ``Nats-UpTo-Sequence``,
    the stream's last sequence at the same instant. A subject without a message is just missing. When **no** subject
    has one: 404 and nothing else, so that the stream's last sequence is not told; ask for a subject that is known to
    exist along with the others.
    With ``seq``: only messages from there on. If none is that new but a subject exists, the end alone comes.
    With ``up_to_seq``: as it was at that sequence. One **beyond the replica's last sequence answers 404** as if no
    subject existed: an unproven "nothing", never to be trusted.
    Over 1024 matches: 413 and nothing else; the number of subjects asked for does not matter.
``seq`` + ``next_by_subj`` + ``batch``
    Messages of the subject from ``seq`` on (inclusive), oldest first; then the end with ``Nats-Num-Pending``: how many
    are left. None that new, or no such subject: 404, and nothing is told of the stream. ``seq`` 0 is read as 1; where
    the message at ``seq`` is gone the next one comes, unmarked: only the publication at one's own position proves that
    nothing between was lost.
    With ``max_bytes``: stops after the message that reaches it, so at least one always comes.
``last_by_subj``
    The newest message of a literal subject or a wildcard, or 404.
Faults
    408 for an empty request; 503 for a stream that does not exist, as for any subject on which nobody listens.

Each message bears ``Nats-Stream``, ``Nats-Subject``, ``Nats-Sequence``, ``Nats-Time-Stamp`` and, in a batch,
``Nats-Num-Pending`` and ``Nats-Last-Sequence`` (of the message before it *in this answer*, 0 for the first; it is
not the `prev` of the contract). They stand behind the publisher's own headers, which may bear the same names: the
last one counts.

No direct get tells the stream's first sequence. ``STREAM.INFO`` tells first and last, from the leader, at 0.3 ms.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from whimbrel.runtime.delivery import Delivery, description, number, stamped
from whimbrel.runtime.errors import JetStreamRefused, NoResponders, RequestTimeout
from whimbrel.runtime.nats import Connection

IN_FLIGHT: Final = 8  # per connection: the server answers them one after the other and reads nothing else meanwhile
TIMEOUT_S: Final = 2.0  # waiting for a turn included
MAX_BYTES: Final = 4 * 1024 * 1024  # of one answer; the server would send 64 MiB at once
MAX_BATCH: Final = 1000

_END_OF_BATCH: Final = 204
_NOT_FOUND: Final = 404
_UNAVAILABLE: Final = 503


class Stored(NamedTuple):
    """A stored message. ``time`` is RFC 3339 with nanoseconds; ``headers`` are raw, the server's at their end."""

    seq: int
    time: str
    headers: bytes
    payload: bytes
    subject: str


class Lasts(NamedTuple):
    """The newest message by subject, as of the stream's last sequence ``up_to``; None where no subject has one."""

    messages: dict[str, Stored]
    up_to: int | None


class Batch(NamedTuple):
    """Messages of one subject, oldest first, and how many are left after them."""

    messages: list[Stored]
    pending: int


class DirectGet:
    """Direct gets over one connection, at most ``in_flight`` at a time."""

    def __init__(self, connection: Connection, *, in_flight: int = IN_FLIGHT, timeout: float = TIMEOUT_S) -> None:
        self._connection = connection
        self._turns = asyncio.Semaphore(in_flight)
        self._timeout = timeout

    async def multi_last(self, stream: str, subjects: Sequence[str], up_to: int | None = None) -> Lasts:
        """Return the newest message of each of ``subjects`` (literals or wildcards, at most 1024 matches).

        A subject without a message is missing. ``up_to`` asks for the state at that sequence; see the module for
        when an empty answer then proves nothing. Raises BusUnavailable, RequestTimeout, NoResponders, JetStreamRefused.
        """
        request: dict[str, Any] = {"multi_last": list(subjects), "max_bytes": MAX_BYTES}
        if up_to is not None:
            request["up_to_seq"] = up_to
        found: dict[str, Stored] = {}
        seen_up_to: int | None = None
        while True:
            messages, end = await self._get(stream, request)
            found.update((message.subject, message) for message in messages)
            if end is None:
                return Lasts(found, seen_up_to)
            page_up_to = number(end.headers, "Nats-UpTo-Sequence")
            seen_up_to = page_up_to if seen_up_to is None else min(seen_up_to, page_up_to)
            if not messages or number(end.headers, "Nats-Num-Pending") == 0:
                return Lasts(found, seen_up_to)
            request["seq"] = messages[-1].seq + 1  # the server stopped at max_bytes

    async def batch(
        self,
        stream: str,
        subject: str | None,
        start_seq: int,
        limit: int = MAX_BATCH,
        max_bytes: int = MAX_BYTES,
        *,
        start_time: str = "",
    ) -> Batch:
        """Return up to ``limit`` messages of ``subject`` from ``start_seq`` on (inclusive), or from ``start_time``
        (RFC 3339) on where one is given; None: of the whole stream.

        A literal subject costs 0.1 ms for each scattered message and 25 ns for each one stored in between, a
        wildcard ten times as much. Raises BusUnavailable, RequestTimeout, NoResponders, JetStreamRefused.
        """
        start: dict[str, Any] = {"start_time": start_time} if start_time else {"seq": max(start_seq, 1)}
        request = {**start, "batch": limit, "max_bytes": max_bytes}
        if subject is not None:
            request["next_by_subj"] = subject
        messages, end = await self._get(stream, request)
        return Batch(messages, 0 if end is None else number(end.headers, "Nats-Num-Pending"))

    async def last(self, stream: str, subject: str) -> Stored | None:
        """Return the newest message of ``subject`` (a literal or a wildcard), None where there is none.

        Raises BusUnavailable, RequestTimeout, NoResponders, JetStreamRefused.
        """
        messages, _ = await self._get(stream, {"last_by_subj": subject})
        return messages[0] if messages else None

    async def _get(self, stream: str, request: Mapping[str, Any]) -> tuple[list[Stored], Delivery | None]:
        """Return the messages and the end of the batch; no end where nothing matches, or for a single message."""
        single = "last_by_subj" in request
        messages: list[Stored] = []
        complete: asyncio.Future[Delivery | None] = asyncio.get_running_loop().create_future()

        def receive(delivery: Delivery) -> None:
            status = delivery.status()
            if status == 0:
                messages.append(_stored(delivery))
                if single:
                    complete.set_result(None)
            elif status == _END_OF_BATCH:
                complete.set_result(delivery)
            elif status == _NOT_FOUND:
                complete.set_result(None)
            elif status == _UNAVAILABLE:
                complete.set_exception(NoResponders(f"no replica of stream {stream} answers"))
            else:
                complete.set_exception(JetStreamRefused(status, 0, description(delivery.headers)))

        try:
            async with asyncio.timeout(self._timeout), self._turns:
                address = self._connection.inbox.collect(receive, complete)
                self._connection.send(f"$JS.API.DIRECT.GET.{stream}", json.dumps(request).encode(), reply=address)
                return messages, await complete
        except TimeoutError:
            raise RequestTimeout(f"no complete answer from stream {stream} within {self._timeout} s") from None
        finally:
            if not complete.cancel() and not complete.cancelled():
                complete.exception()  # the deadline was faster: nobody else looks at it


def _stored(delivery: Delivery) -> Stored:
    raw = delivery.headers or b""
    return Stored(
        number(raw, "Nats-Sequence"),
        stamped(raw, "Nats-Time-Stamp") or "",
        raw,
        delivery.payload,
        stamped(raw, "Nats-Subject") or "",
    )
