"""Requests to auth and router, joined: what arrives while others are under way travels in one message."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Generic, TypeVar

from whimbrel.runtime.errors import BusFault
from whimbrel.runtime.nats import Connection

Q = TypeVar("Q", bound=str)
A = TypeVar("A")

TIMEOUT_S: Final = 2.0  # of one attempt
PATIENCE_S: Final = 5.0  # in all: a restarting service is back by then; the client is told to come again otherwise
RETRY_S: Final = 0.1
MAX_UNDER_WAY: Final = 2  # messages; meanwhile the next one collects, so that a storm costs few of them
MAX_BATCH: Final = 256  # questions per message
MAX_BATCH_BYTES: Final = 192 * 1024  # of questions; the server takes messages of 320 KiB, and JSON may escape some


class ServiceUnavailable(Exception):
    """The service did not answer within the patience of a connect."""


class Batches(Generic[Q, A]):
    """Asks one service: many questions in, one message out, answers in the same order."""

    def __init__(
        self,
        connection: Connection,
        subject: str,
        encode: Callable[[Sequence[Q]], bytes],
        decode: Callable[[bytes], Sequence[A]],
    ) -> None:
        self._connection = connection
        self._subject = subject
        self._encode = encode
        self._decode = decode
        self._waiting: list[tuple[Q, asyncio.Future[A]]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.requests = 0

    def ask(self, question: Q) -> Awaitable[A]:
        """Return the answer to come. It raises ServiceUnavailable."""
        answer: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, answer))
        if len(self._waiting) == 1 and len(self._tasks) < MAX_UNDER_WAY:
            asyncio.get_running_loop().call_soon(self._send)
        return answer

    def _send(self) -> None:
        while self._waiting and len(self._tasks) < MAX_UNDER_WAY:
            size = number = 0
            for question, _ in self._waiting:
                size += len(question)
                if number >= MAX_BATCH or (number and size > MAX_BATCH_BYTES):
                    break
                number += 1
            batch, self._waiting = self._waiting[:number], self._waiting[number:]
            task = asyncio.create_task(self._exchange(batch))
            self._tasks.add(task)
            task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            self._send()

    async def _exchange(self, batch: Sequence[tuple[Q, asyncio.Future[A]]]) -> None:
        try:
            answers = await self._request(self._encode([question for question, _ in batch]))
            for (_, future), answer in zip(batch, answers, strict=True):
                if not future.done():
                    future.set_result(answer)
        except (BusFault, ValueError) as error:
            for _, future in batch:
                if not future.done():
                    future.set_exception(ServiceUnavailable(f"{self._subject}: {error}"))

    async def _request(self, payload: bytes) -> Sequence[A]:
        loop = asyncio.get_running_loop()
        until = loop.time() + PATIENCE_S
        while True:
            self.requests += 1
            try:
                reply = await self._connection.request(self._subject, payload, timeout=TIMEOUT_S)
                return self._decode(reply.payload)
            except BusFault:
                if loop.time() >= until:
                    raise
                await asyncio.sleep(RETRY_S * (1 + random.random()))
