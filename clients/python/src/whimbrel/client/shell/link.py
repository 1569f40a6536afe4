"""What every link is: a task that converses with the edge until it is lost, or hung up."""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence

from whimbrel.client.core.link import BROKEN, Loss
from whimbrel.client.shell.port import Port
from whimbrel.protocol.frames import ClientFrame, EdgeFrame

_log = logging.getLogger("whimbrel.client")


class TaskLink(ABC):
    """One link; ``port`` hears of it under ``number``."""

    def __init__(self, number: int, port: Port) -> None:
        self._number = number
        self._port = port
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Begin to connect."""
        self._task = asyncio.create_task(self._run(), name=f"whimbrel-link-{self._number}")

    @abstractmethod
    def send(self, frame: ClientFrame) -> None:
        """Queue a frame; it is written in order."""

    def repoll(self) -> None:  # noqa: B027 - a WebSocket and a stream need no asking
        """Ask again, where the transport needs it."""

    def hang_up(self, code: int) -> None:
        """Give up what is under way; only a WebSocket knows a farewell, so ``code`` goes nowhere."""
        del code
        if self._task is not None:
            self._task.cancel()

    async def ended(self) -> None:
        """Wait until nothing is under way."""
        if self._task is not None:
            await asyncio.wait([self._task])

    @abstractmethod
    async def _converse(self) -> Loss:
        """Connect, and hear the edge until the link is lost."""

    def _received(self, frames: Sequence[EdgeFrame]) -> None:
        self._port.received(self._number, frames)

    async def _run(self) -> None:
        try:
            loss = await self._converse()
        except asyncio.CancelledError:
            return
        except Exception as error:  # a fault of ours must not leave the client without a link and without a word
            _log.exception("the link failed")
            loss = Loss(BROKEN, f"a fault in the client: {error!r}")
        self._port.lost(self._number, loss)
