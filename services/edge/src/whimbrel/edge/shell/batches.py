"""Requests to auth and router, joined: what is asked within a few milliseconds travels in one message.

A question alone goes out at once. In a storm a message costs both services and NATS about as much as ten connects, so
the next one is held back until it has company; who asks is called with the answer, and needs no task to wait.
"""

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final, Generic, NamedTuple, TypeVar

from whimbrel.runtime.errors import BusFault, RequestRefused
from whimbrel.runtime.nats import TOO_LARGE, Connection

Q = TypeVar("Q", bound=str)
A = TypeVar("A")

TIMEOUT_S: Final = 2.0  # of one attempt
PATIENCE_S: Final = 5.0  # from the question on: a restarting service is back by then; else the client comes again
RETRY_S: Final = 0.1
PACE_S: Final = 0.01  # from one message to the next: twenty questions in a storm of 2,000 connects a second
MAX_UNDER_WAY: Final = 2  # messages; meanwhile the next one collects, so that a storm costs few of them
MAX_BATCH: Final = 256  # questions per message
MAX_BATCH_BYTES: Final = 192 * 1024  # of questions; the server takes messages of 320 KiB, and JSON may escape some


class ServiceUnavailable(Exception):
    """The service did not answer within the patience of a connect."""


class _Waiting(NamedTuple, Generic[Q, A]):
    question: Q
    answered: Callable[[A | ServiceUnavailable], None]
    asked_at: float


class Batches(Generic[Q, A]):
    """Asks one service: many questions in, one message out, answers in the same order."""

    def __init__(
        self,
        connection: Connection,
        subject: str,
        encode: Callable[[Sequence[Q]], bytes],
        decode: Callable[[bytes], Sequence[A]],
        *,
        most: int = MAX_BATCH,
    ) -> None:
        """``most`` questions go in one message."""
        self._connection = connection
        self._subject = subject
        self._encode = encode
        self._decode = decode
        self._most = most
        self._waiting: deque[_Waiting[Q, A]] = deque()  # nobody in here for longer than PATIENCE_S
        self._tasks: set[asyncio.Task[None]] = set()
        self._next_at = 0.0  # when the next message may go
        self._due: asyncio.Handle | None = None  # what sends it
        self.requests = 0

    def ask(self, question: Q) -> Awaitable[A]:
        """Return the answer to come. It raises ServiceUnavailable."""
        answer: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self.put(question, partial(resolve, answer))
        return answer

    def put(self, question: Q, answered: Callable[[A | ServiceUnavailable], None]) -> None:
        """Have ``answered``, which must not raise, called with the answer in a later turn of the loop."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._waiting.append(_Waiting(question, answered, now))
        if self._due is None and len(self._tasks) < MAX_UNDER_WAY:
            self._due = loop.call_at(self._next_at, self._send) if now < self._next_at else loop.call_soon(self._send)

    def _send(self) -> None:
        self._due = None
        now = asyncio.get_running_loop().time()
        while self._waiting and self._waiting[0].asked_at <= now - PATIENCE_S:
            _fail([self._waiting.popleft()], ServiceUnavailable(f"{self._subject}: too many others are asked about"))
        while self._waiting and len(self._tasks) < MAX_UNDER_WAY:
            self._next_at = now + PACE_S
            task = asyncio.create_task(self._exchange(self._next_batch()))
            self._tasks.add(task)
            task.add_done_callback(self._done)

    def _next_batch(self) -> list[_Waiting[Q, A]]:
        batch: list[_Waiting[Q, A]] = []
        size = 0
        while self._waiting and len(batch) < self._most:
            size += len(self._waiting[0].question)
            if batch and size > MAX_BATCH_BYTES:
                break
            batch.append(self._waiting.popleft())
        return batch

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and self._waiting and self._due is None:
            self._due = asyncio.get_running_loop().call_at(self._next_at, self._send)

    async def _exchange(self, batch: Sequence[_Waiting[Q, A]]) -> None:
        try:
            payload = self._encode([each.question for each in batch])
            answers = await self._request(payload, until=batch[0].asked_at + PATIENCE_S)
            pairs = list(zip(batch, answers, strict=True))
        except (BusFault, ValueError) as error:
            if _is_too_large(error) and len(batch) > 1:
                middle = len(batch) // 2
                await self._exchange(batch[:middle])
                await self._exchange(batch[middle:])
                return
            _fail(batch, ServiceUnavailable(f"{self._subject}: {error}"))
            return
        for each, answer in pairs:
            each.answered(answer)

    async def _request(self, payload: bytes, *, until: float) -> Sequence[A]:
        loop = asyncio.get_running_loop()
        while True:
            self.requests += 1
            try:
                reply = await self._connection.request(self._subject, payload, timeout=TIMEOUT_S)
                return self._decode(reply.payload)
            except BusFault as fault:
                if loop.time() >= until or _is_too_large(fault):
                    raise
                await asyncio.sleep(RETRY_S * (1 + random.random()))


def _is_too_large(fault: Exception) -> bool:
    return isinstance(fault, RequestRefused) and fault.code == TOO_LARGE


def _fail(batch: Sequence[_Waiting[Q, A]], error: ServiceUnavailable) -> None:
    for each in batch:
        each.answered(error)


def resolve(future: asyncio.Future[A], answer: A | ServiceUnavailable) -> None:
    """Give ``answer`` to who awaits ``future``."""
    if future.done():  # nobody waits any more
        return
    if isinstance(answer, ServiceUnavailable):
        future.set_exception(answer)
    else:
        future.set_result(answer)
