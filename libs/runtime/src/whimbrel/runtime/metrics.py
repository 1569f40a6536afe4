"""Metrics in Prometheus' text format, read from plain integers at scrape.

Counting costs one integer addition where it happens; nothing here is called per message. Names are constants of the
caller.
"""

import os
import resource
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, Literal

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

Number = int | float
Kind = Literal["counter", "gauge"]

_STARTED: Final = time.time()
_PAGE_BYTES: Final = resource.getpagesize()
_STATM_BYTES: Final = 256  # seven numbers


class Histogram:
    """Counts of observations by upper bound; ``observe`` costs one binary search."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(sorted(bounds))
        self.counts = [0] * (len(self.bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count ``value``."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class Doublings(Histogram):
    """Counts of whole numbers up to 1, 3, 7, … 2**``buckets`` - 1; ``observe`` costs 0.1 µs, no search."""

    __slots__ = ()

    def __init__(self, buckets: int) -> None:
        super().__init__([2**power - 1 for power in range(1, buckets + 1)])

    def observe(self, value: float) -> None:
        """Count ``value``, a whole number of at least 1."""
        counts = self.counts
        counts[0 if value == 1 else min(int(value).bit_length(), len(counts)) - 1] += 1
        self.total += value


class Metrics:
    """What one process exposes under /metrics; each name once."""

    def __init__(self) -> None:
        self._samples: dict[str, tuple[str, str, Callable[[], Iterator[str]]]] = {}
        self.gauge("process_start_time_seconds", "Start of the process, Unix seconds.", lambda: _STARTED)
        self.counter("process_cpu_seconds_total", "User and system CPU time, seconds.", lambda: sum(os.times()[:2]))
        self.gauge("process_resident_memory_bytes", "Memory in RAM, bytes.", resident_bytes)
        self.gauge("process_open_fds", "Open file descriptors.", lambda: len(os.listdir("/proc/self/fd")))

    def counter(self, name: str, text: str, read: Callable[[], Number]) -> None:
        """Expose a number that only grows, read by ``read``; ``name`` ends in ``_total``."""
        self._add(name, text, "counter", lambda: iter((f"{name} {read()}",)))

    def gauge(self, name: str, text: str, read: Callable[[], Number]) -> None:
        """Expose a number that may fall, read by ``read``."""
        self._add(name, text, "gauge", lambda: iter((f"{name} {read()}",)))

    def labelled(
        self,
        name: str,
        text: str,
        kind: Kind,
        labels: Sequence[str],
        read: Callable[[], Mapping[tuple[str, ...], Number]],
    ) -> None:
        """Expose one number per combination of label values; ``read`` gives them by the values, in the order of
        ``labels``.

        Label values come from a fixed set (codes, transports), never from users: each is a time series.
        """

        def lines() -> Iterator[str]:
            for values, number in read().items():
                pairs = ",".join(f'{label}="{_escape(value)}"' for label, value in zip(labels, values, strict=True))
                yield f"{name}{{{pairs}}} {number}"

        self._add(name, text, kind, lines)

    def histogram(self, name: str, text: str, bounds: Sequence[float]) -> Histogram:
        """Expose a new histogram with the upper ``bounds``; ``name`` ends in its unit."""
        histogram = Histogram(bounds)
        self.expose_histogram(name, text, histogram)
        return histogram

    def expose_histogram(self, name: str, text: str, histogram: Histogram) -> None:
        """Expose ``histogram``; ``name`` ends in its unit."""

        def lines() -> Iterator[str]:
            below = 0
            for bound, count in zip(histogram.bounds, histogram.counts, strict=False):
                below += count
                yield f'{name}_bucket{{le="{bound}"}} {below}'
            below += histogram.counts[-1]
            yield f'{name}_bucket{{le="+Inf"}} {below}'
            yield f"{name}_sum {histogram.total}"
            yield f"{name}_count {below}"

        self._add(name, text, "histogram", lines)

    def exposition(self) -> bytes:
        """Return everything as text."""
        lines: list[str] = []
        for name, (text, kind, read) in self._samples.items():
            lines += (f"# HELP {name} {text}", f"# TYPE {name} {kind}")
            lines.extend(read())
        return ("\n".join(lines) + "\n").encode()

    def _add(self, name: str, text: str, kind: str, read: Callable[[], Iterator[str]]) -> None:
        if name in self._samples:
            raise ValueError(f"metric {name} is exposed already")
        self._samples[name] = (text.replace("\n", " "), kind, read)


def resident_bytes() -> int:
    """Return how much of the process is in RAM."""
    statm = os.open("/proc/self/statm", os.O_RDONLY)  # `open` would ask the kernel five times more, four times a second
    try:
        return int(os.read(statm, _STATM_BYTES).split()[1]) * _PAGE_BYTES
    finally:
        os.close(statm)


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
