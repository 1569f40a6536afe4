"""The client for programs without an event loop: it runs in a thread of its own, and every call waits for its end.

with BlockingClient(Client("http://127.0.0.1:8080", token=fetch_token)) as client:
    with client.subscribe("orders:42") as orders:
        for publication in orders:
            print(publication.event, publication.data)
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from concurrent.futures import Future
from contextlib import suppress
from functools import wraps
from types import TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar

from whimbrel.client.client import CAPACITY, Client
from whimbrel.client.errors import Misuse
from whimbrel.client.events import ChannelEvent, Publication, State, StateChange
from whimbrel.client.subscription import Granted, Subscription
from whimbrel.protocol.positions import Position

P = ParamSpec("P")
T = TypeVar("T")
S = TypeVar("S", Subscription, Granted)


def waiting(
    call: Callable[Concatenate[Client, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate["BlockingClient", P], T]:
    """Return the method that takes what ``call`` takes, and waits for what it gives."""

    @wraps(call)
    def wait(self: "BlockingClient", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._thread.wait(lambda: call(self._client, *args, **kwargs))

    return wait


class BlockingClient:
    """``client``, which nobody has entered yet, at work in a thread. All threads may call it at once."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._thread = _LoopThread()

    def __enter__(self) -> Self:
        """Begin to connect; waits for nothing.

        Raises Misuse.
        """
        self._thread.start()
        try:
            self._thread.wait(self._client.__aenter__)
        except BaseException:
            self._thread.stop(_let_go)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close for good: subscriptions end, nothing is left running."""
        self._thread.stop(self._client.close)

    @property
    def state(self) -> State:
        """Where the client is now."""
        return self._client.state

    @property
    def user(self) -> str | None:
        """Who the edge says we are; None before the first connection, and while polling."""
        return self._client.user

    def states(self) -> Iterator[StateChange]:
        """Yield every change of state from now on, to one reader, until the client is closed."""

        async def changes() -> AsyncIterator[StateChange]:
            return self._client.states()

        return self._thread.each(self._thread.wait(changes))

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

    def granted(self, *, capacity: int = CAPACITY) -> "BlockingGranted":
        """Return everything that the edge opens by itself; as ``Client.granted``."""
        return BlockingGranted(self._thread, self._client.granted(capacity=capacity))

    publish = waiting(Client.publish)
    history = waiting(Client.history)
    list_inbox = waiting(Client.list_inbox)
    ack = waiting(Client.ack)
    presence = waiting(Client.presence)
    refresh = waiting(Client.refresh)


class _BlockingInflow(Generic[S]):
    """What comes in, one event after the other. One reader at a time."""

    def __init__(self, thread: "_LoopThread", inflow: S) -> None:
        self._thread = thread
        self._inflow: S = inflow

    def __enter__(self) -> Self:
        """Wait until the channel is open.

        Raises ChannelRefused, Closed, Misuse.
        """
        self._thread.wait(self._inflow.__aenter__)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(_Over):  # the client was closed, and the subscription with it
            self._thread.wait(lambda: self._inflow.__aexit__(kind, error, trace))

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
        try:
            return self._thread.wait(self._inflow.__anext__, timeout=timeout)
        except _Over:
            raise StopAsyncIteration from None

    def events(self) -> Iterator[ChannelEvent]:
        """Yield everything that happens in the channel, resets included, in order.

        Raises ChannelClosed and Closed where the edge ended it.
        """
        return self._thread.each(self._inflow.events())


class BlockingSubscription(_BlockingInflow[Subscription]):
    """One channel, from ``with client.subscribe(…)``. One reader at a time."""

    @property
    def position(self) -> Position | None:
        """Where the application stands: behind the event that it took last."""
        return self._inflow.position

    def ack(self, offset: int | None = None) -> int:
        """Tell the edge that everything up to ``offset`` was handled, by default up to ``position``."""
        return self._thread.wait(lambda: self._inflow.ack(offset))


class BlockingGranted(_BlockingInflow[Granted]):
    """All that the edge opens by itself, from ``with client.granted()``: the inbox, and a channel per group."""

    @property
    def positions(self) -> Mapping[str, Position | None]:
        """Where the application stands, by channel."""
        return self._inflow.positions


class _Over(Misuse):
    """The thread does not run: not yet, or no longer."""


class _LoopThread:
    """An event loop in a thread that ends with the program."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop
        self._thread = threading.Thread(target=self._run, name="whimbrel-client", daemon=True)
        self._turn = threading.Lock()  # what is called while it is open is answered before it ends
        self._open = False

    def start(self) -> None:
        if self._thread.ident is not None:
            raise Misuse("a client is used once; make a new one")
        self._loop = asyncio.new_event_loop()
        self._thread.start()
        self._open = True

    def stop(self, last: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do ``last``, let everybody who waits have an answer, then end; nothing where it is not open."""

        async def settle() -> None:
            try:
                await last()
            except BaseException:
                await _let_go()
                raise
            finally:
                if others := _others():
                    await asyncio.wait(others)

        self._refuse_itself()
        with self._turn:
            was_open, self._open = self._open, False
        if was_open:
            settled = asyncio.run_coroutine_threadsafe(settle(), self._loop)
            settled.add_done_callback(lambda _: self._loop.call_soon_threadsafe(self._loop.stop))
            try:
                settled.result()
            finally:
                self._thread.join()

    def wait(self, call: Callable[[], Coroutine[Any, Any, T]], *, timeout: float | None = None) -> T:
        """Return what ``call`` gives when it runs in the thread. The time limit runs there too: what was not taken when
        it ends stays where it is.
        """

        async def called() -> T:
            async with asyncio.timeout(timeout):
                return await call()

        self._refuse_itself()
        with self._turn:
            if not self._open:
                raise _Over("the client is closed, or was not entered: with BlockingClient(Client(…)) as client")
            future: Future[T] = asyncio.run_coroutine_threadsafe(called(), self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def each(self, source: AsyncIterator[T]) -> Iterator[T]:
        """Yield what ``source`` gives, until its end or that of the thread."""

        async def following() -> T:
            return await anext(source)

        while True:
            try:
                yield self.wait(following)
            except (StopAsyncIteration, _Over):
                return

    def _refuse_itself(self) -> None:
        if threading.current_thread() is self._thread:
            raise Misuse("this would wait for itself: within the client's own thread use the asynchronous client")

    def _run(self) -> None:
        try:
            self._loop.run_forever()
        finally:
            self._loop.close()


def _others() -> set[asyncio.Task[Any]]:
    """Return all tasks of this loop but the one that asks."""
    return {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}


async def _let_go() -> None:
    """Cancel whatever else runs in this loop."""
    for task in _others():
        task.cancel()
