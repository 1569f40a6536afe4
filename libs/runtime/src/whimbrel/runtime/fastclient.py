"""nats-py with our own way in and out; reconnect, TLS and authentication stay nats-py's.

nats-py spends a queue, a task and 19–26 µs per message with headers on each of its subscriptions. Here messages of
our own subscriptions are handed over inside the read loop, headers raw; what nats-py subscribed itself (its request
inbox, JetStream consumers) takes nats-py's way. The overridden members are private, so the version is pinned,
checked at import, and each override has a test in tests/runtime/test_fastclient.py.

Faults of nats-py 2.16 that are mended here:

* ``_send_ping`` writes PING ahead of the commands still pending, so its ``flush`` proves nothing about them;
* ``_process_pong`` raises on a flush that timed out, which ends the read loop;
* a read loop or a reconnect task that ends with an unexpected exception leaves a client that never comes back;
* ``close`` waits for a half-open peer to take what is still unwritten: for ever;
* the parser may keep half a message of the connection before.
"""

import asyncio
import importlib.metadata
import time
from collections.abc import Callable
from typing import Any, Final

import nats.errors
from nats.aio.client import DEFAULT_BUFFER_SIZE, Client, Srv
from nats.aio.transport import TcpTransport
from nats.protocol.parser import Parser

from whimbrel.runtime.delivery import Delivery
from whimbrel.runtime.errors import BusUnavailable

SUPPORTED_NATS_PY: Final = "2.16."
if not importlib.metadata.version("nats-py").startswith(SUPPORTED_NATS_PY):
    raise ImportError(
        f"whimbrel.runtime overrides private members of nats-py {SUPPORTED_NATS_PY}x, "
        f"found {importlib.metadata.version('nats-py')}; read fastclient.py before you change the pin"
    )

MAX_UNWRITTEN_BYTES: Final = 8 * 1024 * 1024  # a server that takes nothing for this much is an outage, not a delay

Deliver = Callable[[Delivery], None]


class Subscription:
    """Interest in one subject; lives in the registry and so outlives the client that carries it."""

    __slots__ = ("deliver", "queue", "registry", "sid", "subject")

    def __init__(self, registry: "Registry", sid: int, subject: str, queue: str, deliver: Deliver) -> None:
        self.registry = registry
        self.sid = sid
        self.subject = subject
        self.queue = queue
        self.deliver = deliver

    def detach(self) -> None:
        """Stop deliveries now; a second call does nothing."""
        self.registry.detach(self)

    async def unsubscribe(self) -> None:
        """Stop deliveries now; a second call does nothing."""
        self.registry.detach(self)

    def command(self) -> bytes:
        """Return the SUB line."""
        return f"SUB {self.subject} {self.queue} {self.sid}\r\n".encode()


class Registry:
    """The subscriptions of one connection, by sid, whichever client carries them now."""

    def __init__(self, failed: Callable[[str, Exception], None]) -> None:
        self.by_sid: dict[int, Subscription] = {}
        self.last_sid = 0
        self.client: FastClient | None = None
        self.on_read_end: Callable[[], None] | None = None
        self.failed = failed
        self.messages_in = 0

    def attach(self, subject: str, queue: str, deliver: Deliver) -> Subscription:
        """Add a subscription and tell the server as soon as there is one."""
        client = self.client
        self.last_sid += 1
        if client is not None:  # nats-py numbers its own subscriptions from the same counter
            client._sid = self.last_sid = max(self.last_sid, client._sid + 1)
        subscription = Subscription(self, self.last_sid, subject, queue, deliver)
        self.by_sid[subscription.sid] = subscription
        self._tell(subscription.command())
        return subscription

    def detach(self, subscription: Subscription) -> None:
        """Forget a subscription and tell the server."""
        if self.by_sid.pop(subscription.sid, None) is not None:
            self._tell(b"UNSUB %d\r\n" % subscription.sid)

    def _tell(self, command: bytes) -> None:
        # Never refused for a full buffer: interest must not diverge from what the server knows. A new connection
        # gets all of it.
        if self.client is not None and self.client.is_connected:
            self.client.enqueue(command)

    def commands(self) -> bytes:
        """Return the SUB lines of all subscriptions, for a new connection."""
        return b"".join(subscription.command() for subscription in self.by_sid.values())


class ReadEndParser(Parser):
    """nats-py's parser, which also tells when everything of one socket read was parsed."""

    def __init__(self, client: "FastClient", registry: Registry) -> None:
        super().__init__(client)
        self._registry = registry

    async def parse(self, data: bytes = b"") -> None:
        """Parse ``data``, then call ``on_read_end``."""
        try:
            await super().parse(data)
        finally:
            read_end = self._registry.on_read_end
            if read_end is not None:
                try:
                    read_end()
                except Exception as error:
                    self._registry.failed("on_read_end", error)


class AbortingTransport(TcpTransport):
    """A TCP transport whose ``close`` never waits for a peer that reads nothing."""

    def unwritten(self) -> int:
        """Return the bytes that the kernel did not take yet."""
        writer = self._io_writer
        return 0 if writer is None else writer.transport.get_write_buffer_size()

    def close(self) -> None:
        """Close; with bytes still unwritten, abort instead."""
        if self._io_writer is not None and self.unwritten() > 0:
            self._io_writer.transport.abort()
        super().close()  # type: ignore[no-untyped-call]


class FastClient(Client):
    """One nats-py client on behalf of a connection; when it is lost for good the connection makes another."""

    def __init__(self, registry: Registry) -> None:
        super().__init__()
        self._registry = registry
        self._sid = registry.last_sid
        self._ps = ReadEndParser(self, registry)
        self._scheduled = False
        self._unwritten = 0
        self.lost = asyncio.Event()
        self.reason: Exception | None = None

    # Out

    def write(self, command: bytes) -> None:
        """Send ``command`` with whatever else this turn of the loop sends, in one write.

        Raises BusUnavailable while there is no connection, or when more than MAX_UNWRITTEN_BYTES wait for the server.
        """
        if not self.is_connected:
            raise BusUnavailable("no connection to NATS")
        if self._pending_data_size + (self._backlog() if self._unwritten else 0) > MAX_UNWRITTEN_BYTES:
            raise BusUnavailable(f"NATS takes nothing: {MAX_UNWRITTEN_BYTES} bytes wait to be written")
        self.enqueue(command)

    def enqueue(self, command: bytes) -> None:
        """Send ``command`` with the rest of this turn, in order with what nats-py itself sends, however much waits."""
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self.write_now)
        self._pending.append(command)
        self._pending_data_size += len(command)

    def write_now(self) -> None:
        """Hand what waits to the kernel."""
        self._scheduled = False
        if self._pending and self.is_connected and self._transport is not None:
            pending, self._pending, self._pending_data_size = self._pending, [], 0
            try:
                self._transport.write(b"".join(pending))
            except RuntimeError:  # uvloop: the transport is closed, and the read loop is about to notice
                return
            self._backlog()

    def _backlog(self) -> int:
        assert isinstance(self._transport, AbortingTransport)
        self._unwritten = self._transport.unwritten()
        return self._unwritten

    async def _send_ping(self, future: asyncio.Future[Any] | None = None) -> None:
        self.write_now()
        await super()._send_ping(future)

    # In

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes | None) -> None:
        registry = self._registry
        subscription = registry.by_sid.get(sid)
        if subscription is None:
            await super()._process_msg(sid, subject, reply, data, headers)  # type: ignore[arg-type]
            return
        registry.messages_in += 1
        try:
            subscription.deliver(Delivery(subject.decode(), reply.decode(), data, headers))
        except Exception as error:
            registry.failed(subscription.subject, error)

    async def _process_pong(self) -> None:
        if self._pongs and self._pongs[0].done():
            self._pongs[0] = asyncio.get_running_loop().create_future()
        await super()._process_pong()

    # Life

    async def _connect_to_server(self, s: Srv) -> None:
        if self._transport is not None:
            self._transport.close()  # type: ignore[no-untyped-call]  # an attempt that failed after it had connected
        s.last_attempt = time.monotonic()
        self._transport = AbortingTransport()  # type: ignore[no-untyped-call]
        await self._transport.connect(s.uri, DEFAULT_BUFFER_SIZE, self.options["connect_timeout"])

    async def _process_connect_init(self) -> None:
        self._ps.reset()
        await super()._process_connect_init()
        # Before anything else on the new connection, so that a flush afterwards proves that all are in place.
        if self._transport is not None:
            self._transport.write(self._registry.commands())

    async def _read_loop(self) -> None:
        await super()._read_loop()
        if self.is_connected and asyncio.current_task() is self._reading_task:
            await self._process_op_err(nats.errors.UnexpectedEOF())

    async def _attempt_reconnect(self) -> None:
        try:
            await super()._attempt_reconnect()
        except Exception as error:
            self.lose(error)

    async def _close(self, status: int, do_cbs: bool = True) -> None:
        if status == Client.CLOSED:
            self.lose(self._err)
        await super()._close(status, do_cbs)

    def lose(self, reason: Exception | None) -> None:
        """Give this client up: the connection makes another."""
        if not self.lost.is_set():
            self.reason = reason
            self.lost.set()
