"""The client for programs without an event loop: it runs in a thread of its own, and every call waits for its end.

with BlockingClient(Client("http://127.0.0.1:8080", token=fetch_token)) as client:
    with client.subscribe("orders:42") as orders:
        for publication in orders:
            print(publication.event, publication.data)
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Self, TypeVar

from whimbrel.client.client import CAPACITY, PUBLISH_S, REQUEST_S, Client, InboxPage, Page
from whimbrel.client.errors import Misuse
from whimbrel.client.events import ChannelEvent, Publication, State
from whimbrel.client.subscription import Subscription
from whimbrel.protocol.limits import HISTORY_LIMIT
from whimbrel.protocol.positions import Position

T = TypeVar("T")


class BlockingClient:
    """``client``, which nobody has entered yet, at work in a thread. All threads may call it at once."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._thread = _LoopThread()

    def __enter__(self) -> Self:
        """Begin to connect; waits for nothing."""
        self._thread.start()
        self._thread.wait(self._client.__aenter__)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close for good: subscriptions end, nothing is left running."""
        if self._thread.is_alive():
            self._thread.wait(self._client.close)
            self._thread.stop()

    @property
    def state(self) -> State:
        """Where the client is now."""
        return self._client.state

    @property
    def user(self) -> str | None:
        """Who the edge says we are; None before the first connection, and while polling."""
        return self._client.user

    def connected(self, *, timeout: float | None = None) -> None:
        """Wait until the client is connected.

        Raises Closed; TimeoutError after ``timeout`` seconds.
        """
        self._thread.wait(self._client.connected, timeout=timeout)

    def subscribe(
        self, channel: str, *, position: Position | None = None, last: int | None = None, capacity: int = CAPACITY
    ) -> "BlockingSubscription":
        """Return the subscription to open by ``with``; as ``Client.subscribe``."""
        subscription = self._client.subscribe(channel, position=position, last=last, capacity=capacity)
        return BlockingSubscription(self._thread, subscription)

    def inbox(self, *, position: Position | None = None, capacity: int = CAPACITY) -> "BlockingSubscription":
        """Return the subscription to the user's own channel; as ``Client.inbox``."""
        return BlockingSubscription(self._thread, self._client.inbox(position=position, capacity=capacity))

    def publish(
        self, channel: str, event: str, data: Any, *, key: str | None = None, timeout: float = PUBLISH_S
    ) -> int | None:
        """Publish; return the offset; as ``Client.publish``."""
        return self._thread.wait(lambda: self._client.publish(channel, event, data, key=key, timeout=timeout))

    def history(
        self,
        channel: str,
        *,
        after: int | None = None,
        before: int | None = None,
        limit: int = HISTORY_LIMIT,
        timeout: float = REQUEST_S,
    ) -> Page:
        """Read retained publications back, oldest first; as ``Client.history``."""
        return self._thread.wait(
            lambda: self._client.history(channel, after=after, before=before, limit=limit, timeout=timeout)
        )

    def list_inbox(
        self,
        *,
        unread: bool = False,
        before: int | None = None,
        limit: int = HISTORY_LIMIT,
        timeout: float = REQUEST_S,
    ) -> InboxPage:
        """Tell what is in the user's inbox now; as ``Client.list_inbox``."""
        return self._thread.wait(
            lambda: self._client.list_inbox(unread=unread, before=before, limit=limit, timeout=timeout)
        )

    def ack(self, channel: str, offset: int, *, timeout: float = REQUEST_S) -> int:
        """Tell that everything up to ``offset`` was handled; return the read mark; as ``Client.ack``."""
        return self._thread.wait(lambda: self._client.ack(channel, offset, timeout=timeout))

    def presence(self, channel: str, *, timeout: float = REQUEST_S) -> tuple[Any, ...]:
        """Tell who is in the channel; as ``Client.presence``."""
        return self._thread.wait(lambda: self._client.presence(channel, timeout=timeout))


class BlockingSubscription:
    """One channel, from ``with client.subscribe(…)``. One reader at a time."""

    def __init__(self, thread: "_LoopThread", subscription: Subscription) -> None:
        self._thread = thread
        self._subscription = subscription

    @property
    def position(self) -> Position | None:
        """Where the application stands: behind the event that it took last."""
        return self._subscription.position

    def __enter__(self) -> Self:
        """Wait until the channel is open.

        Raises ChannelRefused, Closed, Misuse.
        """
        self._thread.wait(self._subscription.__aenter__)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread.is_alive():
            self._thread.wait(lambda: self._subscription.__aexit__(kind, error, trace))

    def __iter__(self) -> Iterator[Publication]:
        return self

    def __next__(self) -> Publication:
        """Wait for the next publication.

        Raises PositionLost where publications are missing (the next call goes on behind the gap), ChannelClosed and
        Closed where the edge ended it.
        """
        try:
            return self.next()
        except StopAsyncIteration:
            raise StopIteration from None

    def next(self, *, timeout: float | None = None) -> Publication:
        """Wait for the next publication, as iterating does.

        Raises TimeoutError after ``timeout`` seconds, which loses nothing; StopAsyncIteration behind the last one.
        """
        if not self._thread.is_alive():
            raise StopAsyncIteration  # the client was closed, and the subscription with it
        return self._thread.wait(self._subscription.__anext__, timeout=timeout)

    def events(self) -> Iterator[ChannelEvent]:
        """Yield everything that happens in the channel, resets included, in order.

        Raises ChannelClosed and Closed where the edge ended it.
        """
        events = self._subscription.events()

        async def following() -> ChannelEvent:
            return await anext(events)

        while self._thread.is_alive():
            try:
                yield self._thread.wait(following)
            except StopAsyncIteration:
                return

    def ack(self, offset: int | None = None) -> int:
        """Tell the edge that everything up to ``offset`` was handled, by default up to ``position``."""
        return self._thread.wait(lambda: self._subscription.ack(offset))


class _LoopThread:
    """An event loop in a thread that ends with the program."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop
        self._thread = threading.Thread(target=self._run, name="whimbrel-client", daemon=True)

    def start(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread.start()

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def stop(self) -> None:
        """Let everybody who waits have an answer, then end."""

        async def settle() -> None:
            others = asyncio.all_tasks() - {asyncio.current_task()}
            if others:
                await asyncio.wait(others)

        self.wait(settle)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def wait(self, call: Callable[[], Coroutine[Any, Any, T]], *, timeout: float | None = None) -> T:
        """Return what ``call`` gives when it runs in the thread. The time limit runs there too: what was not taken when
        it ends stays where it is.
        """
        if threading.current_thread() is self._thread:
            raise Misuse("this would wait for itself: within the client's own thread use the asynchronous client")
        if not self._thread.is_alive():
            raise Misuse("the client is closed, or was not entered: with BlockingClient(Client(…)) as client")

        async def called() -> T:
            async with asyncio.timeout(timeout):
                return await call()

        future: Future[T] = asyncio.run_coroutine_threadsafe(called(), self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def _run(self) -> None:
        try:
            self._loop.run_forever()
        finally:
            self._loop.close()
