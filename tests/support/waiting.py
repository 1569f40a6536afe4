"""Waiting for what happens instead of sleeping, always with a deadline."""

import asyncio
from collections.abc import Awaitable
from typing import Generic, TypeVar

T = TypeVar("T")

DEADLINE_S = 20.0


async def within(awaitable: Awaitable[T], seconds: float = DEADLINE_S) -> T:
    """Await ``awaitable``; a test that waits longer has failed."""
    async with asyncio.timeout(seconds):
        return await awaitable


class Collected(Generic[T]):
    """Items as they come: ``Collected.append`` is the callback, ``until`` waits for enough of them."""

    def __init__(self) -> None:
        self.items: list[T] = []
        self._more = asyncio.Event()

    def append(self, item: T) -> None:
        self.items.append(item)
        self._more.set()

    async def until(self, count: int, seconds: float = DEADLINE_S) -> list[T]:
        """Return the items once there are ``count``."""
        async with asyncio.timeout(seconds):
            while len(self.items) < count:
                self._more.clear()
                await self._more.wait()
        return self.items
