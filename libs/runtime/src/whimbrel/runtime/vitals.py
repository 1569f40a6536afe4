"""Vital signs of the process: how late its loop comes, how long the garbage collector stops it, how large it is.

One probe for whoever wants to know: the metrics of every service, and a service that sheds load in time.
"""

import asyncio
import gc
import math
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from whimbrel.runtime.metrics import Histogram, Metrics, resident_bytes

INTERVAL_S: Final = 0.25  # between two looks: 4 wake-ups a second cost 0.01 % of a core
REMEMBERED: Final = 8  # looks, 2 s: a lag that is over for that long is history
LAG_BOUNDS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
PAUSE_BOUNDS_S: Final = (0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)


def until_beat(interval: float, *, now: float) -> float:
    """Return the seconds until a whole ``interval`` of the loop's clock, half to one and a half of it: whoever comes by
    often does so together with others, for what wakes an idle process costs it more than what it then does.
    """
    return math.floor(now / interval + 1.5) * interval - now


class Vitals:
    """Looks every 0.25 s once started. ``on_look`` callbacks follow each look; they must neither block nor raise."""

    def __init__(self) -> None:
        self.on_look: list[Callable[[], None]] = []
        self.lags = Histogram(LAG_BOUNDS_S)
        self.pauses = Histogram(PAUSE_BOUNDS_S)
        self._lags: deque[float] = deque(maxlen=REMEMBERED)
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._collecting_since = 0.0

    def start(self) -> None:
        """Begin to look, in the loop that runs now."""
        gc.callbacks.append(self._collected)
        self._sleep()

    def stop(self) -> None:
        """End it; a second call does nothing."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            gc.callbacks.remove(self._collected)

    @property
    def lag_s(self) -> float:
        """The most seconds by which the loop was late in the last 2 s: what a frame may have waited before its turn."""
        return max(self._lags, default=0.0)

    @property
    def resident_bytes(self) -> int:
        """Memory of the process that is in RAM."""
        return resident_bytes()

    def expose(self, metrics: Metrics) -> None:
        """Publish the distributions."""
        metrics.expose_histogram(
            "whimbrel_loop_lag_seconds", "Seconds by which the event loop was late, four looks a second.", self.lags
        )
        metrics.expose_histogram(
            "whimbrel_gc_pause_seconds", "Seconds for which the garbage collector stopped the process.", self.pauses
        )

    def _sleep(self) -> None:
        loop = asyncio.get_running_loop()
        wait_s = until_beat(INTERVAL_S, now=loop.time())
        self._due = time.perf_counter() + wait_s
        self._timer = loop.call_later(wait_s, self._look)

    def _look(self) -> None:
        lag = max(0.0, time.perf_counter() - self._due)
        self._lags.append(lag)
        self.lags.observe(lag)
        self._sleep()
        for look in self.on_look:
            look()

    def _collected(self, phase: str, _: dict[str, Any]) -> None:
        if phase == "start":
            self._collecting_since = time.perf_counter()
        elif self._collecting_since:  # the first may have begun before we listened
            self.pauses.observe(time.perf_counter() - self._collecting_since)
