"""A link over Server-Sent Events: one response that does not end, and commands beside it. By ``httpx``."""

import asyncio
import logging
from collections.abc import Sequence

import httpx

from whimbrel.client.addresses import Addresses
from whimbrel.client.core.eventstream import EventStream
from whimbrel.client.core.link import BROKEN, Loss
from whimbrel.client.core.timing import Timing
from whimbrel.client.shell.commands import Commands, Lost
from whimbrel.client.shell.port import Port
from whimbrel.client.shell.problems import loss_of_response
from whimbrel.protocol.errors import MalformedFrame
from whimbrel.protocol.frames import ClientFrame, Connect, EdgeFrame, decode_edge, encode

_log = logging.getLogger("whimbrel.client")


class EventStreamLink:
    """One stream; the session's `connect` is the body of its request. ``http`` outlives the link."""

    def __init__(self, number: int, addresses: Addresses, port: Port, timing: Timing, http: httpx.AsyncClient) -> None:
        self._number = number
        self._address = addresses.events
        self._port = port
        self._timing = timing
        self._http = http
        self._commands = Commands(addresses, timing, http, lambda: port.bearer)
        self._connect: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Begin to connect."""
        self._task = asyncio.create_task(self._run(), name=f"whimbrel-events-{self._number}")

    def send(self, frame: ClientFrame) -> None:
        """Queue a command, or open the stream by a `connect`."""
        if isinstance(frame, Connect):
            self._connect.set_result(encode(frame))
        else:
            self._commands.send(frame)

    def repoll(self) -> None:
        """A stream needs no asking."""

    def hang_up(self, code: int) -> None:
        """Give up the requests under way; HTTP knows no farewell, so ``code`` goes nowhere."""
        del code
        if self._task is not None:
            self._task.cancel()

    async def ended(self) -> None:
        """Wait until no request is under way."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._read())
                group.create_task(self._commands.run(self._received))
        except* Lost as lost:
            first = lost.exceptions[0]
            assert isinstance(first, Lost)
            self._port.lost(self._number, first.loss)
        except* Exception as group_of_faults:  # a fault of ours must not leave the client without a word
            _log.exception("the stream of events failed")
            self._port.lost(self._number, Loss(BROKEN, f"a fault in the client: {group_of_faults.exceptions[0]!r}"))

    async def _read(self) -> None:
        self._port.opened(self._number)  # which sends `connect`
        headers = {**self._commands.headers(), "Accept": "text/event-stream"}
        timeout = httpx.Timeout(self._timing.open_s, read=None)  # the session watches over the heartbeat
        body = await self._connect
        try:
            async with self._http.stream(
                "POST", self._address, content=body, headers=headers, timeout=timeout
            ) as answer:
                if answer.status_code != httpx.codes.OK:
                    raise Lost(loss_of_response(answer.status_code, answer.headers, await answer.aread()))
                stream = EventStream()
                async for chunk in answer.aiter_bytes():
                    self._received([frame for data in stream.feed(chunk) for frame in decode_edge(data.decode())])
        except httpx.TimeoutException as error:
            raise Lost(Loss(BROKEN, f"{self._address} gave no answer in time", unanswered=True)) from error
        except httpx.HTTPError as error:
            raise Lost(Loss(BROKEN, f"no stream from {self._address}: {error!r}")) from error
        except (MalformedFrame, UnicodeDecodeError) as error:
            raise Lost(Loss(BROKEN, str(error))) from error
        raise Lost(Loss(BROKEN, "the stream ended"))

    def _received(self, frames: Sequence[EdgeFrame]) -> None:
        self._port.received(self._number, frames)
