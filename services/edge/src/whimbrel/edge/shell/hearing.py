"""The hot path's way in: from a message of the bus to the ring of its channel.

One object hears each channel. It reads of a message's headers what it needs, as bytes: where the publication stands,
and whether it is traced. Per publication that is 3 µs of CPU with the frame that is made of it, where parsing the
headers into a mapping took 8 (one message at a time, caches warm; a machine that sleeps between two takes twice that).
"""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Final

from whimbrel.edge.core.hub import Hub, LiveChannel
from whimbrel.edge.core.ring import Stored, Verdict
from whimbrel.edge.shell.fanout import Fanout
from whimbrel.edge.shell.streams import UNREADABLE
from whimbrel.protocol.publications import LAST_SEQUENCE, SEQUENCE, STORED_AT, TRACEPARENT, TRACEPARENT_PATTERN, is_body
from whimbrel.protocol.subjects import live_subject
from whimbrel.runtime import traces
from whimbrel.runtime.delivery import Delivery, header, number, stamped
from whimbrel.runtime.logs import Logger
from whimbrel.runtime.metrics import Metrics

_TRACEPARENT: Final = re.compile(TRACEPARENT_PATTERN)
_TRACED: Final = TRACEPARENT.encode()
_SEQUENCE: Final = f"{SEQUENCE}: ".encode()
_SEQUENCE_AT: Final = len(_SEQUENCE)
_LAST_SEQUENCE: Final = f"{LAST_SEQUENCE}: ".encode()
_LAST_SEQUENCE_AT: Final = len(_LAST_SEQUENCE)
_NEXT: Final = Verdict.NEXT
MAX_DIGITS: Final = 4300  # of a number that Python reads; longer headers take the long way


class Hearing:
    """What all listeners of the pod share. ``fell_behind`` is called with a channel in which a gap was found."""

    def __init__(self, hub: Hub, fanout: Fanout, fell_behind: Callable[[LiveChannel], None], log: Logger) -> None:
        self.hub = hub
        self.fell_behind = fell_behind
        self.received = 0
        self.timing = False  # whether the next publication is to be timed
        self._fanout = fanout
        self._unreadable = 0
        self._log = log

    def listener(self, live: LiveChannel) -> "DurableListener | EphemeralListener":
        """Return what hears ``live``."""
        return DurableListener(self, live) if live.durable else EphemeralListener(self, live)

    def time_next(self) -> None:
        """Have it measured how long the next publication took from the stream to its sockets."""
        self.timing = True

    def time(self, raw: bytes | None) -> None:
        """Time the publication with these headers."""
        self.timing = False
        self._fanout.stored_at = _stored_at(raw)

    def unreadable(self, message: Delivery) -> bytes:
        """Return what stands for a message that is no publication."""
        self._unreadable += 1
        self._log.warning("bus.unreadable", subject=message.subject, bytes=len(message.payload))
        return UNREADABLE

    def expose(self, metrics: Metrics) -> None:
        """Publish the counters."""
        metrics.counter("whimbrel_edge_bus_publications_total", "Publications heard live.", lambda: self.received)
        metrics.counter(
            "whimbrel_edge_bus_unreadable_total", "Messages that are no publications.", lambda: self._unreadable
        )


class _Listener:
    """What hears one channel: a third of the memory of a partial of a method."""

    __slots__ = ("_hearing", "_live")

    def __init__(self, hearing: Hearing, live: LiveChannel) -> None:
        self._hearing = hearing
        self._live = live

    @property
    def subject(self) -> str:
        """Where the channel is heard."""
        return live_subject(self._live.channel)


class DurableListener(_Listener):
    """What hears one channel with history."""

    __slots__ = ()

    def __call__(self, message: Delivery) -> None:
        """Take one message of the channel."""
        hearing, live, raw, body = self._hearing, self._live, message.headers, message.payload
        hearing.received += 1
        if not is_body(body):
            body = hearing.unreadable(message)
        offset, prev = position(raw)
        trace = trace_of(raw) if raw is not None and _TRACED in raw else b""
        if live.accept(Stored(offset, prev, body, trace)) is _NEXT:
            hearing.hub.mark(live)
            if hearing.timing:
                hearing.time(raw)
        elif live.behind:
            hearing.fell_behind(live)


class EphemeralListener(_Listener):
    """What hears one channel without history."""

    __slots__ = ()

    def __call__(self, message: Delivery) -> None:
        """Take one message of the channel."""
        hearing, live, raw, body = self._hearing, self._live, message.headers, message.payload
        hearing.received += 1
        if not is_body(body):
            body = hearing.unreadable(message)
        live.accept_ephemeral(body, trace_of(raw) if raw is not None and _TRACED in raw else b"")
        hearing.hub.mark(live)


def position(raw: bytes | None) -> tuple[int, int]:
    """Return where the stream stored the publication with these headers, and the one before it in its channel; 0 where
    the server does not say so.
    """
    if raw is None:
        return 0, 0
    # The server ends the headers with sequence, time and last sequence, whatever a publisher wrote before them.
    lines = raw.rsplit(b"\r\n", 5)
    if len(lines) == 6 and lines[1].startswith(_SEQUENCE) and lines[3].startswith(_LAST_SEQUENCE):
        offset, prev = lines[1][_SEQUENCE_AT:], lines[3][_LAST_SEQUENCE_AT:]
        if offset.isdigit() and prev.isdigit() and len(raw) < MAX_DIGITS:
            return int(offset), int(prev)
    return number(raw, SEQUENCE), number(raw, LAST_SEQUENCE)


def _stored_at(raw: bytes | None) -> float:
    """Return when the stream stored a publication (Unix s), 0 where it does not say so."""
    stamp = stamped(raw, STORED_AT)
    try:
        return 0.0 if stamp is None else datetime.fromisoformat(stamp).timestamp()
    except ValueError:
        return 0.0


def trace_of(raw: bytes) -> bytes:
    """Return the traceparent in these headers where it is sampled and one indeed, else nothing."""
    traceparent = header(raw, TRACEPARENT)
    if not traces.sampled(traceparent) or not _TRACEPARENT.fullmatch(traceparent or ""):
        return b""  # it is spliced into JSON: nothing but a traceparent may be
    return (traceparent or "").encode()
