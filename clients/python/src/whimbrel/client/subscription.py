"""A channel as the application reads it."""

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from types import TracebackType
from typing import Self

from whimbrel.client.core.effects import Deliver
from whimbrel.client.errors import ClientError, Misuse, PositionLost
from whimbrel.client.events import ChannelEvent, Publication, Recovered, Reset
from whimbrel.client.shell.driver import Driver
from whimbrel.protocol.positions import Position


class _Inflow(ABC):
    """What was delivered and not taken yet.

    It is bounded by the core, which counts the room and stops the channel at the edge when there is none.
    """

    def __init__(self, driver: Driver, call: str) -> None:
        self._driver = driver
        self._call = call  # that made it
        self._entered = False
        self._waiting: deque[Deliver] = deque()
        self._wake = asyncio.Event()
        self._over = False
        self._error: ClientError | None = None

    def delivered(self, delivery: Deliver) -> None:
        """Take the next event."""
        if delivery.event is not None:
            self._waiting.append(delivery)
            self._wake.set()
        elif not self._waiting:
            self._stands_at(delivery.channel, delivery.position)
        elif self._waiting[-1].channel == delivery.channel:
            last = self._waiting[-1]
            self._waiting[-1] = Deliver(last.channel, last.event, delivery.position)

    def ended(self, error: ClientError | None) -> None:
        """Nothing more comes."""
        self._over, self._error = True, error
        self._wake.set()

    def left(self) -> None:
        """The application reads no more: whoever waits is let go."""
        self._waiting.clear()
        if not self._over:
            self.ended(None)

    def _enter(self) -> None:
        if self._entered:
            raise Misuse(f"a subscription is entered once; make another by {self._call}")
        self._entered = True

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Publication:
        """Return the next publication.

        Raises PositionLost where publications are missing (the next call goes on behind the gap), ChannelClosed and
        Closed where the edge ended it. It ends when its context is left, or the client closed.
        """
        while True:
            match await self._next():
                case None:
                    raise StopAsyncIteration
                case Publication() as publication:
                    return publication
                case Reset(channel=channel, position=position):
                    raise PositionLost(channel, position)
                case _:
                    continue

    async def events(self) -> AsyncIterator[ChannelEvent]:
        """Yield everything that happens in the channel, resets included, in order.

        Raises ChannelClosed and Closed where the edge ended it.
        """
        while (event := await self._next()) is not None:
            yield event

    async def _next(self) -> ChannelEvent | None:
        if not self._entered:
            raise Misuse(f"it is not open: async with {self._call} as …")
        while not self._waiting:
            if self._over:
                if self._error is not None:
                    raise self._error
                return None
            self._wake.clear()
            await self._wake.wait()
        delivery = self._waiting.popleft()
        assert delivery.event is not None
        self._stands_at(delivery.channel, delivery.position)
        if not isinstance(delivery.event, Recovered | Reset):  # these took no room
            self._driver.perform(self._driver.session.taken(delivery.channel, 1, self._driver.now))
        return delivery.event

    @abstractmethod
    def _stands_at(self, channel: str, position: Position | None) -> None:
        """The application stands here in ``channel`` now."""


class Subscription(_Inflow):
    """One channel, from ``async with client.subscribe(…)``. One reader at a time."""

    def __init__(
        self,
        driver: Driver,
        channel: str,
        *,
        position: Position | None,
        last: int | None,
        capacity: int,
        ack: Callable[[str, int], Awaitable[int]],
    ) -> None:
        super().__init__(driver, f"client.subscribe({channel!r})")
        self.channel = channel
        self.position = position
        """Where the application stands: behind the event that it took last. Keep it to go on from here another day."""
        self._begin = position
        self._last = last
        self._capacity = capacity
        self._ack = ack
        self._opened: asyncio.Future[None] | None = None

    async def __aenter__(self) -> Self:
        """Wait until the channel is open.

        Raises ChannelRefused, Closed, Misuse.
        """
        self._enter()
        self._opened = asyncio.get_running_loop().create_future()
        effects = self._driver.session.subscribe(
            self.channel, position=self._begin, last=self._last, capacity=self._capacity, now=self._driver.now
        )
        self._driver.sinks[self.channel] = self
        self._driver.perform(effects)
        try:
            await self._opened
        except BaseException:
            self._leave()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()

    async def ack(self, offset: int | None = None) -> int:
        """Tell the edge that everything up to ``offset`` was handled, by default up to ``position``.

        Return the read mark that holds now, on all devices of this user. Raises Misuse where there is no position.
        """
        if offset is None:
            if self.position is None:
                raise Misuse(f"{self.channel} has no position to acknowledge: it is ephemeral, or not open yet")
            offset = self.position.offset
        return await self._ack(self.channel, offset)

    def opened(self) -> None:
        """The channel is open."""
        if self._opened is not None and not self._opened.done():
            self._opened.set_result(None)

    def ended(self, error: ClientError | None) -> None:
        """Nothing more comes."""
        super().ended(error)
        if self._opened is not None and not self._opened.done():
            self._opened.set_exception(error or ClientError("the client was closed while the channel opened"))

    def _leave(self) -> None:
        if self._driver.sinks.get(self.channel) is self:
            del self._driver.sinks[self.channel]
            self._driver.perform(self._driver.session.unsubscribe(self.channel, self._driver.now))
        self.left()

    def _stands_at(self, channel: str, position: Position | None) -> None:
        self.position = position


class Granted(_Inflow):
    """All that the edge opens by itself, from ``async with client.granted()``: the inbox, and a channel per group."""

    def __init__(self, driver: Driver, *, capacity: int) -> None:
        super().__init__(driver, "client.granted()")
        self.positions: dict[str, Position | None] = {}
        """Where the application stands, by channel."""
        self._capacity = capacity

    async def __aenter__(self) -> Self:
        """Begin to listen; waits for nothing.

        Raises Closed.
        """
        self._enter()
        effects = self._driver.session.grant(self._capacity, self._driver.now)
        self._driver.granted = self
        self._driver.perform(effects)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._driver.granted = None
        self._driver.session.revoke()
        self.left()

    def opened(self) -> None:
        """A channel is open."""

    def _stands_at(self, channel: str, position: Position | None) -> None:
        self.positions[channel] = position
