"""A link over WebSocket, by the asyncio client of ``websockets``."""

import asyncio
import logging
import ssl
from collections.abc import Mapping
from typing import Any, Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.typing import Subprotocol

from whimbrel.client.core.link import BROKEN, Loss
from whimbrel.client.core.timing import Timing
from whimbrel.client.shell.port import Port
from whimbrel.client.shell.problems import loss_of_response
from whimbrel.protocol.codes import CloseCode
from whimbrel.protocol.errors import MalformedFrame
from whimbrel.protocol.frames import ClientFrame, decode_edge, encode
from whimbrel.protocol.limits import MAX_FRAME_BYTES, MAX_FRAMES_PER_MESSAGE
from whimbrel.protocol.versions import SUBPROTOCOL

MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024  # an edge joins frames up to 1 MiB; what is larger is no edge
CLOSE_S: Final = 1.0  # for the closing handshake: nothing depends on it

_log = logging.getLogger("whimbrel.client")


class WebSocketLink:
    """One WebSocket. Proxies are taken from the environment."""

    def __init__(
        self,
        number: int,
        url: str,
        port: Port,
        timing: Timing,
        *,
        headers: Mapping[str, str],
        user_agent: str,
        tls: ssl.SSLContext | None,
    ) -> None:
        self._number = number
        self._url = url
        self._port = port
        self._timing = timing
        self._options: dict[str, Any] = {"additional_headers": dict(headers), "user_agent_header": user_agent}
        if tls is not None and url.startswith("wss:"):  # ``websockets`` refuses it elsewhere
            self._options["ssl"] = tls
        self._outbox: list[bytes] = []  # bounded by the requests under way and the channels followed
        self._wake = asyncio.Event()
        self._hung_up: int | None = None
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Begin to connect."""
        self._task = asyncio.create_task(self._run(), name=f"whimbrel-websocket-{self._number}")

    def send(self, frame: ClientFrame) -> None:
        """Queue a frame."""
        self._outbox.append(encode(frame))
        self._wake.set()

    def repoll(self) -> None:
        """A WebSocket needs no asking."""

    def hang_up(self, code: int) -> None:
        """Close; before the socket is open by giving up."""
        self._hung_up = code
        if self._task is not None:
            self._task.cancel()

    async def ended(self) -> None:
        """Wait until the socket is closed."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        try:
            loss = await self._converse()
        except asyncio.CancelledError:
            return
        except Exception as error:  # a fault of ours must not leave the client without a link and without a word
            _log.exception("the WebSocket link failed")
            loss = Loss(BROKEN, f"a fault in the client: {error!r}")
        self._port.lost(self._number, loss)

    async def _converse(self) -> Loss:
        try:
            socket = await connect(
                self._url,
                subprotocols=[Subprotocol(SUBPROTOCOL)],
                compression=None,  # the edge does not compress: it encodes a publication once for all
                open_timeout=None,  # the session watches over it
                ping_interval=None,  # the contract has its own heartbeat
                close_timeout=CLOSE_S,
                max_size=MAX_MESSAGE_BYTES,
                **self._options,
            )
        except InvalidStatus as error:
            answer = error.response
            return loss_of_response(answer.status_code, answer.headers, bytes(answer.body or b""))
        except (OSError, WebSocketException) as error:
            return Loss(BROKEN, f"no WebSocket: {error}" if str(error) else f"no WebSocket: {error!r}")
        writer = asyncio.create_task(self._write(socket))
        try:
            self._port.opened(self._number)
            return await self._read(socket)
        finally:
            writer.cancel()
            await self._close(socket)

    async def _read(self, socket: ClientConnection) -> Loss:
        try:
            while True:
                self._port.received(self._number, decode_edge(await socket.recv()))
        except ConnectionClosed as error:
            code = BROKEN if error.rcvd is None else error.rcvd.code
            said = "" if error.rcvd is None else error.rcvd.reason
            return Loss(code, said or "the connection broke", refused=code >= CloseCode.DRAINING)
        except MalformedFrame as error:
            return Loss(BROKEN, str(error))

    async def _write(self, socket: ClientConnection) -> None:
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                waiting, self._outbox = self._outbox, []
                for message in _joined(waiting):
                    await socket.send(message, text=True)
        except ConnectionClosed:
            return  # the reader reports it

    async def _close(self, socket: ClientConnection) -> None:
        # Shielded from a second cancellation: a close that is begun is finished, within CLOSE_S.
        await asyncio.shield(socket.close(1000 if self._hung_up is None else self._hung_up))


def _joined(frames: list[bytes]) -> list[bytes]:
    """Join frames into as few messages as the edge takes."""
    messages: list[list[bytes]] = [[]]
    size = 0
    for frame in frames:
        size += len(frame) + 1
        if messages[-1] and (size + 2 > MAX_FRAME_BYTES or len(messages[-1]) == MAX_FRAMES_PER_MESSAGE):
            messages.append([])
            size = len(frame) + 1
        messages[-1].append(frame)
    return [batch[0] if len(batch) == 1 else b"[%b]" % b",".join(batch) for batch in messages if batch]
