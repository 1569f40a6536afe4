"""Tasks that nobody waits for."""

import asyncio
from collections.abc import Callable, Coroutine

from whimbrel.runtime.logs import Logger


class Errands:
    """Holds its tasks until they end; a fault of ours in one is logged as ``event``."""

    def __init__(self, log: Logger, event: str) -> None:
        self._log = log
        self._event = event
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def send(self, work: Coroutine[None, None, None], failed: Callable[[], None] | None = None) -> None:
        """Run ``work``; ``failed`` is called where it raises."""

        def done(task: "asyncio.Task[None]") -> None:
            self._tasks.discard(task)
            if not task.cancelled() and (error := task.exception()) is not None:
                self._log.exception(self._event, error)
                if failed is not None:
                    failed()

        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(done)

    def cancel(self) -> None:
        """End all of them."""
        for task in self._tasks:
            task.cancel()
