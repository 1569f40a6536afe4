"""The hot path's way out to many sockets: the kernel's ``write`` itself, past the event loop's transports.

A transport costs about 0.9 µs per write beside the kernel's 8: it is a dozen lines of memory that no cache holds any
more when its turn comes again 5,000 sockets later. In one process, message by message in turn: 9.3–9.7 µs per write by
``transport.write``, 8.3–8.5 by ``os.write`` (5,000 subscribers, medians, a busy machine; the bare C loop took 8.6).

What makes it safe: a descriptor is used only while its socket is open and its transport holds nothing back. Whoever
loses, pauses or resumes a socket counts one of the hub's ``changes``, before anything else, and with it all that is
known here is forgotten. The event loop closes a descriptor only after its connection was told that it is lost, and does
nothing at all in the middle of a pass. TLS and compression have no descriptor here.

The kernel does its part without the interpreter's lock. So a second thread goes through a large audience beside the
first, where the process may use a second processor: 5,000 subscribers have a message after 54 ms, not 67 (p99; the bare
C loop, in one thread, takes 63), and the loop is free again so much earlier. It costs 10.7 µs of CPU per write, where
one thread takes 10.5 (means of two interleaved runs).
"""

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from uvloop.loop import TCPTransport  # type: ignore[attr-defined]  # its stubs do not tell of it

from whimbrel.edge.core.hub import Hub, Write

WORTH_IT: Final = 64  # writers; for fewer the caches hold the transports
KNOWN: Final = 16  # audiences whose descriptors are remembered, 8 bytes per writer
NONE: Final = -1
SHARED: Final = 250  # writers, 2 ms: from so many on a pass is worth a second thread, which takes 0.05 ms to come


class DirectWrites:
    """Writes to the writers of large audiences."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._helper: ThreadPoolExecutor | None = None
        if len(os.sched_getaffinity(0)) > 1:
            self._helper = ThreadPoolExecutor(1, "fan-out")
            self._helper.submit(int).result()  # a thread that cannot be had must not be missed in the middle of a pass
        self._changes = hub.changes
        self._known: dict[
            int, tuple[Sequence[Write], list[int]]
        ] = {}  # by the identity of the audience, which it holds

    def write(self, audience: Sequence[Write], data: bytes, start: int, stop: int) -> None:
        """Write ``data`` to ``audience[start:stop]``; what the kernel does not take at once waits in the transport."""
        turns = enumerate(self._descriptors(audience)[start:stop], start)
        left: list[tuple[int, int]] = []
        if self._helper is None or stop - start < SHARED:
            _put(turns, data, left)
        else:
            beside = self._helper.submit(_put, turns, data, left)
            try:
                _put(turns, data, left)
            finally:
                beside.result()
        for at, written in left:
            try:  # noqa: SIM105  # a context manager would cost as much as the write
                audience[at](data[written:])
            except RuntimeError:  # uvloop: this socket was lost since it was counted in; the others follow
                pass

    def _descriptors(self, audience: Sequence[Write]) -> list[int]:
        if self._changes != self._hub.changes or len(self._known) > KNOWN:
            self._known.clear()
            self._changes = self._hub.changes
        known = self._known.get(id(audience))
        if known is None:
            known = self._known[id(audience)] = (audience, [_descriptor(write) for write in audience])
        return known[1]


def _put(turns: Iterable[tuple[int, int]], data: bytes, left: list[tuple[int, int]]) -> None:
    """Write ``data`` to the descriptors of ``turns``, each with its place; note in ``left`` where not all of it went
    and how much did. Two threads may share ``turns``: each takes its next one under the interpreter's lock.
    """
    size, put = len(data), os.write
    for at, descriptor in turns:
        written = 0
        if descriptor != NONE:
            try:  # noqa: SIM105  # a context manager would cost as much as all the rest
                written = put(descriptor, data)
            except OSError:  # it is full, or lost: the transport finds out
                pass
        if written != size:
            left.append((at, written))


def _descriptor(write: Write) -> int:
    """Return the file descriptor that ``write`` writes to if nothing stands between the two, else ``NONE``."""
    transport: Any = getattr(write, "__self__", None)
    if type(transport) is not TCPTransport or transport.is_closing() or transport.get_write_buffer_size():
        return NONE
    return int(transport.get_extra_info("socket").fileno())
