"""A link over Server-Sent Events: one response that does not end, and commands beside it. By ``httpx``."""

import asyncio

import httpx

from whimbrel.client.addresses import Addresses
from whimbrel.client.core.eventstream import EventStream
from whimbrel.client.core.link import BROKEN, Loss
from whimbrel.client.core.timing import Timing
from whimbrel.client.shell.commands import Commands, Lost, first_loss
from whimbrel.client.shell.link import TaskLink
from whimbrel.client.shell.port import Port
from whimbrel.client.shell.problems import loss_of_response
from whimbrel.protocol.errors import MalformedFrame
from whimbrel.protocol.frames import ClientFrame, Connect, decode_edge, encode


class EventStreamLink(TaskLink):
    """One stream; the session's `connect` is the body of its request. ``http`` outlives the link."""

    def __init__(self, number: int, addresses: Addresses, port: Port, timing: Timing, http: httpx.AsyncClient) -> None:
        super().__init__(number, port)
        self._address = addresses.events
        self._timing = timing
        self._http = http
        self._commands = Commands(addresses, timing, http, lambda: port.bearer)
        self._connect: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def send(self, frame: ClientFrame) -> None:
        """Queue a command, or open the stream by a `connect`."""
        if isinstance(frame, Connect):
            self._connect.set_result(encode(frame))
        else:
            self._commands.send(frame)

    async def _converse(self) -> Loss:
        return await first_loss(self._read(), self._commands.run(self._received))

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
