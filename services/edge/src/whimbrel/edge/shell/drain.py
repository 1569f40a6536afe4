"""The pod leaves. Each client is told when to move, is served until it has, and is closed once its time is over.

Moves are spread evenly over a window, so that the other pods take the clients one by one. A client that opens its new
connection before it closes this one misses nothing, and has nothing to catch up.
"""

import asyncio
import contextlib
import random
from collections.abc import Sequence
from typing import Final, NamedTuple, Self

from whimbrel.edge.shell.pod import Connected, Pod

NOTICE_S: Final = 15.0  # between the notice and the move; who hangs up when told, and not when due, waits as long
MOVE_S: Final = 4.0  # to connect elsewhere, with a retry
CLOSING_S: Final = 3.0  # for the last close frames to be answered
MOVE_PART: Final = 0.2  # of a short drain
CLOSING_PART: Final = 0.15
SPARE_PART: Final = 0.05  # to write the last read marks, and to exit
AT_ONCE: Final = 500  # notices between two turns of the loop: about 5 ms


class Plan(NamedTuple):
    """How a drain divides its time, seconds: moves are due within ``window``; each may take ``move`` longer."""

    window: float
    move: float
    closing: float

    @classmethod
    def of(cls, drain_s: float) -> Self:
        """Return the plan of a drain that ends within ``drain_s``."""
        move, closing = min(MOVE_S, MOVE_PART * drain_s), min(CLOSING_S, CLOSING_PART * drain_s)
        return cls(drain_s * (1 - SPARE_PART) - move - closing, move, closing)


async def drain(pod: Pod, drain_s: float) -> None:
    """Send the clients elsewhere; return when all are gone, at the latest shortly before ``drain_s`` are over."""
    pod.draining = True
    for connection in tuple(pod.connections):
        connection.leaving()
    if not pod.connections:
        return
    plan, began = Plan.of(drain_s), pod.now()
    leaving = list(pod.connections)
    random.shuffle(leaving)
    due = [began + plan.window * number / len(leaving) for number in range(len(leaving))]
    pod.log.info("pod.draining", connections=len(leaving), seconds=round(plan.window, 1))
    telling = asyncio.ensure_future(_tell(pod, leaving, due))
    closing = asyncio.ensure_future(_close(pod, leaving, due, plan.move))
    empty = asyncio.ensure_future(pod.empty.wait())
    try:
        await asyncio.wait({closing, empty}, return_when=asyncio.FIRST_COMPLETED)
        for late in tuple(pod.connections):  # came in between, or were still connecting
            late.drain()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(plan.closing):
                await empty
    finally:
        for task in (telling, closing, empty):
            task.cancel()
        await asyncio.gather(telling, closing, empty, return_exceptions=True)


async def _tell(pod: Pod, leaving: Sequence[Connected], due: Sequence[float]) -> None:
    for number, (connection, at) in enumerate(zip(leaving, due, strict=True)):
        if (early := at - NOTICE_S - pod.now()) > 0:
            await asyncio.sleep(early)
        elif number % AT_ONCE == AT_ONCE - 1:
            await asyncio.sleep(0)
        if connection in pod.connections:
            connection.tell_drain(after_ms=max(1, int(1000 * (at - pod.now()))))


async def _close(pod: Pod, leaving: Sequence[Connected], due: Sequence[float], move_s: float) -> None:
    for connection, at in zip(leaving, due, strict=True):
        if (left := at + move_s - pod.now()) > 0:
            await asyncio.sleep(left)
        if connection in pod.connections:
            connection.drain()
