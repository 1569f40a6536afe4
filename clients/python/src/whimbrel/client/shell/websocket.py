"""A link over WebSocket, by the asyncio client of ``websockets``."""

import asyncio
import ssl
from collections.abc import Mapping
from typing import Any, Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.typing import Subprotocol

from whimbrel.client.core.link import BROKEN, Loss
from whimbrel.client.core.timing import Timing
from whimbrel.client.shell.link import TaskLink
from whimbrel.client.shell.messages import batches
from whimbrel.client.shell.port import Port
from whimbrel.client.shell.problems import loss_of_response
from whimbrel.protocol.codes import CloseCode
from whimbrel.protocol.errors import MalformedFrame
from whimbrel.protocol.frames import ClientFrame, decode_edge, encode
from whimbrel.protocol.versions import SUBPROTOCOL

MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024  # an edge joins frames up to 1 MiB; what is larger is no edge
CLOSE_S: Final = 1.0  # for the closing handshake: nothing depends on it


class Straight(connect):
    """Follows no redirect, as HTTP requests do not either: whoever could send one would be sent the token."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        """Return that there is nowhere to go."""
        return exc


class WebSocketLink(TaskLink):
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
        super().__init__(number, port)
        self._url = url
        self._timing = timing
        self._options: dict[str, Any] = {"additional_headers": dict(headers), "user_agent_header": user_agent}
        if tls is not None:  # ``websockets`` refuses even None where there is no TLS
            self._options["ssl"] = tls
        self._outbox: list[bytes] = []  # bounded by the requests under way and the channels followed
        self._wake = asyncio.Event()
        self._hung_up: int | None = None

    def send(self, frame: ClientFrame) -> None:
        """Queue a frame."""
        self._outbox.append(encode(frame))
        self._wake.set()

    def hang_up(self, code: int) -> None:
        """Close; before the socket is open by giving up."""
        self._hung_up = code
        super().hang_up(code)

    async def _converse(self) -> Loss:
        try:
            socket = await Straight(
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
        except (OSError, WebSocketException, ImportError) as error:  # ImportError: of a SOCKS proxy in the environment
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
                for each in batches(waiting):
                    message = each[0] if len(each) == 1 else b"[%b]" % b",".join(each)
                    await socket.send(message, text=True)
        except ConnectionClosed:
            return  # the reader reports it

    async def _close(self, socket: ClientConnection) -> None:
        # Shielded from a second cancellation: a close that is begun is finished, within CLOSE_S.
        await asyncio.shield(socket.close(1000 if self._hung_up is None else self._hung_up))
