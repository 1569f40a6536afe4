"""Open-loop pacing: what is due is due, however slow the receiver is."""

import asyncio
import ctypes
import os
import struct
import time
from collections.abc import Callable
from typing import Final

_NS: Final = 1_000_000_000
_MONOTONIC: Final = 1
_ABSOLUTE: Final = 1
LEAD_NS: Final = 5_000_000  # between the call and the first beat

Beat = Callable[[int, int], None]


async def beats(rate: float, count: int, beat: Beat) -> None:
    """Call ``beat(number, due)`` for ``count`` beats, ``rate`` per second; ``due`` is in ns of the monotonic clock.

    A beat that comes late is told when it was due, and those that were missed follow at once. A timerfd keeps the time,
    for the loop's own timers are whole milliseconds.
    """
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    began = time.monotonic_ns() + LEAD_NS
    number = 0
    timer = _timer()

    def wake() -> None:
        nonlocal number
        os.read(timer, 8)
        try:
            while number < count and (due := began + int(number * _NS / rate)) <= time.monotonic_ns():
                beat(number, due)
                number += 1
        except Exception as error:
            done.set_exception(error)
        if number < count and not done.done():
            _set(timer, began + int(number * _NS / rate))
        elif not done.done():
            done.set_result(None)

    loop.add_reader(timer, wake)
    _set(timer, began)
    try:
        await done
    finally:
        loop.remove_reader(timer)
        os.close(timer)


def _timer() -> int:
    # os.timerfd_create comes with Python 3.13.
    timer: int = _libc.timerfd_create(_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
    if timer < 0:
        raise OSError(ctypes.get_errno(), "timerfd_create")
    return timer


def _set(timer: int, due_ns: int) -> None:
    once = struct.pack("qqqq", 0, 0, *divmod(due_ns, _NS))
    if _libc.timerfd_settime(timer, _ABSOLUTE, once, None) < 0:
        raise OSError(ctypes.get_errno(), "timerfd_settime")


_libc = ctypes.CDLL(None, use_errno=True)
