"""A listening socket, and uvicorn on it inside our own life cycle."""

import asyncio
import contextlib
import errno
import math
import socket
import ssl
from collections.abc import Callable, Generator
from dataclasses import dataclass
from email.utils import formatdate
from functools import partial
from typing import Final, cast

import uvicorn
from starlette.types import ASGIApp
from uvicorn.server import ServerState

from whimbrel.runtime.errors import StartRefused

BACKLOG: Final = 4096  # connects waiting for one turn of the loop in a reconnect storm; the kernel caps it (somaxconn)
# libuv accepts one connection per listening descriptor and turn of the loop. In a storm each turn then takes every step
# of a connect for one client, with cold caches: 256 µs per connect, with four descriptors of the same socket 206 (with
# sixteen 209), by a grant 174 and 138. Who comes alone costs three system calls in vain, 1 µs.
ACCEPTED_PER_TURN: Final = 4
KEEP_ALIVE_S: Final = 75  # longer than the interval of clients that poll, so that they keep their connection
TLS_SHUTDOWN_S: Final = 2.0  # for the peer's close_notify; then the connection is cut


@dataclass(frozen=True, slots=True)
class Tls:
    """TLS on a listening socket: each handshake is given ``handshake_s`` seconds."""

    context: ssl.SSLContext
    handshake_s: float


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket on ``host``:``port``; port 0 takes a free one.

    Raises StartRefused where that is not possible.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise StartRefused(f"cannot listen on {host}:{port}: {error.strerror}") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)  # here already: only now is the port ours alone
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        why = "another program listens there; stop it or choose another port"
        raise StartRefused(
            f"cannot listen on {host}:{port}: {why if error.errno == errno.EADDRINUSE else error.strerror}"
        ) from error
    return listener


class _State(ServerState):
    """What the connections of a server share. The date is made for each answer, 3 µs: uvicorn makes it each second, and
    every wake-up of an idle process costs it 100 µs.
    """

    @property
    def default_headers(self) -> list[tuple[bytes, bytes]]:
        """The headers of every answer."""
        return [(b"date", formatdate(usegmt=True).encode())]

    @default_headers.setter
    def default_headers(self, headers: list[tuple[bytes, bytes]]) -> None:
        """Take none: uvicorn says so when it begins."""
        assert not headers


class _Server(uvicorn.Server):
    """uvicorn that leaves signals alone: the service decides when it stops. It listens here, for uvicorn knows no bound
    on the time of a TLS handshake (asyncio's is a minute).
    """

    def __init__(self, config: uvicorn.Config, tls: Tls | None) -> None:
        super().__init__(config)
        self.server_state = _State()
        self._tls = tls
        self._ended = asyncio.Event()

    def end(self) -> None:
        """Take no more connections, give open requests their grace, and return from ``serve``."""
        self.should_exit = True
        self._ended.set()

    async def main_loop(self) -> None:
        """Wait for the end. uvicorn's own loop looks ten times a second whether it is to end, and two servers in an
        idle process were half of what it costs.
        """
        await self._ended.wait()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen on ``sockets``."""
        await super().startup([])
        tls: dict[str, object] = {}
        if self._tls is not None:
            tls = {
                "ssl": self._tls.context,
                "ssl_handshake_timeout": self._tls.handshake_s,
                "ssl_shutdown_timeout": TLS_SHUTDOWN_S,
            }
        loop = asyncio.get_running_loop()
        make = cast("Callable[..., asyncio.Protocol]", self.config.http_protocol_class)
        protocol = partial(
            make, config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )  # one call per connection
        for listener in sockets or []:
            for each in (listener, *(listener.dup() for _ in range(ACCEPTED_PER_TURN - 1))):
                self.servers.append(await loop.create_server(protocol, sock=each, backlog=BACKLOG, **tls))  # type: ignore[call-overload]

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Capture nothing."""
        yield


async def serve(
    app: ASGIApp,
    sock: socket.socket,
    *,
    http: Callable[..., asyncio.Protocol] | None = None,
    tls: Tls | None = None,
    stop: asyncio.Event | None = None,
    grace_s: float = 5,
) -> None:
    """Serve ``app`` on ``sock`` until ``stop`` is set or this is cancelled, then give open requests ``grace_s``
    seconds.

    ``http`` makes the protocol of each connection in place of uvicorn's class (the edge's front door).
    """
    config = uvicorn.Config(
        app,
        http=cast("type[asyncio.Protocol]", http) if http else "httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,  # a URL may hold a ticket
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=math.ceil(grace_s),
    )
    server = _Server(config, tls)
    serving = asyncio.create_task(server.serve(sockets=[sock]), name="uvicorn")
    waiting = {serving}
    if stop is not None:
        stopped = asyncio.create_task(_wait(stop), name="uvicorn stop")
        waiting.add(stopped)
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting - {serving}:
            task.cancel()
        server.end()
        await serving


async def _wait(event: asyncio.Event) -> None:
    await event.wait()
