"""Changes of state as an application follows them."""

import asyncio
from collections import deque
from typing import Final, Self

from whimbrel.client.events import State, StateChange

MAX_CHANGES: Final = 100  # that may wait; beyond, the oldest are left out


class Changes:
    """Every change of state since this was made, in order; ends behind CLOSED."""

    def __init__(self, now: State) -> None:
        self._waiting: deque[StateChange] = deque(maxlen=MAX_CHANGES)
        self._wake = asyncio.Event()
        self._over = now is State.CLOSED

    def told(self, change: StateChange) -> None:
        """Take the next change."""
        self._waiting.append(change)
        self._wake.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> StateChange:
        while not self._waiting:
            if self._over:
                raise StopAsyncIteration
            self._wake.clear()
            await self._wake.wait()
        change = self._waiting.popleft()
        self._over = change.state is State.CLOSED
        return change
