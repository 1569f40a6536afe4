"""nats-py with our own way in and out; reconnect, TLS and authentication stay nats-py's.

nats-py spends a queue and a task on each of its subscriptions, and per message with headers 19–26 µs, or over 50 where
messages come one by one. Here messages of our own subscriptions are handed over as they are read, headers raw, for
2–3 µs; what nats-py subscribed itself (its request inbox, JetStream consumers) takes nats-py's way. The overridden
members are private, so the version is pinned and checked at import, and each override has its test in
tests/runtime/test_fastclient.py.

Faults of nats-py 2.16 that are mended here:

* ``_send_ping`` writes PING ahead of the commands still pending, so its ``flush`` proves nothing about them;
* ``_process_pong`` raises on a flush that timed out, which ends the read loop;
* a read loop or a reconnect task that ends with an unexpected exception leaves a client that never comes back;
* ``close`` waits for a half-open peer to take what is still unwritten: for ever;
* the parser may keep half a message of the connection before.
"""

import asyncio
import contextlib
import importlib.metadata
import time
from typing import Any, Final

import nats.errors
from nats.aio.client import DEFAULT_BUFFER_SIZE, Client, Srv
from nats.protocol.parser import AWAITING_CONTROL_LINE, MAX_CONTROL_LINE_SIZE, Parser

from whimbrel.runtime.delivery import Delivery
from whimbrel.runtime.errors import BusUnavailable
from whimbrel.runtime.subscriptions import Registry
from whimbrel.runtime.transport import FastTransport
from whimbrel.runtime.vitals import until_beat

SUPPORTED_NATS_PY: Final = "2.16."
if not importlib.metadata.version("nats-py").startswith(SUPPORTED_NATS_PY):
    raise ImportError(
        f"whimbrel.runtime overrides private members of nats-py {SUPPORTED_NATS_PY}x, "
        f"found {importlib.metadata.version('nats-py')}; read fastclient.py before you change the pin"
    )

MAX_UNWRITTEN_BYTES: Final = 8 * 1024 * 1024  # a server that takes nothing for this much is an outage, not a delay
DISCARD_S: Final = 2.0
ALONG_S: Final = 0.02  # for how long a command that nobody waits for looks for company


class FastClient(Client):
    """One nats-py client on behalf of a connection; when it is lost for good the connection makes another."""

    def __init__(self, registry: Registry) -> None:
        super().__init__()
        self._registry = registry
        self._sid = registry.last_sid
        self._ps: TurnParser = TurnParser(self)
        self._partial = b""
        self._scheduled = False
        self._along = False  # whether ``_along_over`` is going to be called
        self._unwritten = 0
        self.lost = asyncio.Event()
        self.reason: Exception | None = None

    # Out

    def write(self, command: bytes) -> None:
        """Send ``command`` with whatever else this turn of the loop sends, in one write.

        Raises BusUnavailable while there is no connection, or when more than MAX_UNWRITTEN_BYTES wait for the server.
        """
        self._check_room()
        self.enqueue(command)

    def write_along(self, command: bytes) -> None:
        """Send ``command`` with the next write, whoever causes it, ALONG_S from now at the latest; in order.

        A write of its own costs us 58 µs, and the server a turn of its reader. Raises BusUnavailable as ``write`` does.
        """
        self._check_room()
        if not self._along:
            self._along = True
            asyncio.get_running_loop().call_later(ALONG_S, self._along_over)
        self._append(command)

    def enqueue(self, command: bytes) -> None:
        """Send ``command`` with the rest of this turn, in order with what nats-py itself sends, however much waits."""
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self.write_now)
        self._append(command)

    def _check_room(self) -> None:
        if not self.is_connected:
            raise BusUnavailable("no connection to NATS")
        if self._pending_data_size + (self._backlog() if self._unwritten else 0) > MAX_UNWRITTEN_BYTES:
            raise BusUnavailable(f"NATS takes nothing: {MAX_UNWRITTEN_BYTES} bytes wait to be written")

    def _append(self, command: bytes) -> None:
        self._pending.append(command)
        self._pending_data_size += len(command)

    def _along_over(self) -> None:
        self._along = False
        self.write_now()

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
        assert isinstance(self._transport, FastTransport)
        self._unwritten = self._transport.unwritten()
        return self._unwritten

    async def _send_ping(self, future: asyncio.Future[Any] | None = None) -> None:
        self.write_now()
        await super()._send_ping(future)

    async def _ping_interval(self) -> None:
        """Ping as nats-py does, but on whole beats: in one turn of the loop for all connections of the process."""
        interval, most = self.options["ping_interval"], self.options["max_outstanding_pings"]
        while True:
            await asyncio.sleep(until_beat(interval, now=asyncio.get_running_loop().time()))
            if not self.is_connected:
                continue
            self._pings_outstanding += 1
            if self._pings_outstanding > most:
                await self._process_op_err(nats.errors.StaleConnectionError())
                return
            try:
                await self._send_ping()
            except (RuntimeError, AttributeError):  # the transport was closed, and the read loop is about to notice
                return

    # In

    def take(self, data: bytes) -> bytes:
        """Deliver the messages of our own subscriptions with which ``data`` begins; return what nats-py has to parse.

        An incomplete message at the end is kept until the rest of it comes.
        """
        if self._partial:
            data, self._partial = self._partial + data, b""
        if self._status != Client.CONNECTED or not self._ps.between_messages:
            return data
        taken = self._deliver_all(data)
        self._registry.read_ended()
        return data[taken:]

    def _deliver_all(self, data: bytes) -> int:
        """Return how much of ``data`` was delivered or kept."""
        registry = self._registry
        by_sid = registry.by_sid
        at, size = 0, len(data)
        while at < size:
            end = data.find(b"\r\n", at)
            if end < 0:
                if size - at > MAX_CONTROL_LINE_SIZE:
                    return at
                break
            match data[at:end].split():
                case [b"HMSG", subject, sid, headers_size, message_size]:
                    reply = b""
                case [b"HMSG", subject, sid, reply, headers_size, message_size]:
                    pass
                case [b"MSG", subject, sid, message_size]:
                    reply, headers_size = b"", b"0"
                case [b"MSG", subject, sid, reply, message_size]:
                    headers_size = b"0"
                case _:
                    return at
            start = end + 2
            try:
                subscription = by_sid.get(int(sid))
                body, end = start + int(headers_size), start + int(message_size)
                if subscription is None or not start <= body <= end:
                    return at
                if end + 2 > size:
                    break
                headers = data[start:body] if body > start else None
                message = Delivery(subject.decode(), reply.decode(), data[body:end], headers)
            except ValueError:  # not the protocol: nats-py says so and reconnects
                return at
            at = end + 2
            registry.deliver(subscription, message)
        self._partial = data[at:]
        return size

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes | None) -> None:
        subscription = self._registry.by_sid.get(sid)
        if subscription is None:
            await super()._process_msg(sid, subject, reply, data, headers)  # type: ignore[arg-type]
        else:
            self._registry.deliver(subscription, Delivery(subject.decode(), reply.decode(), data, headers))

    def parsed(self) -> None:
        """Called after nats-py's parser took what was left: ``take`` goes on with what it kept of a message."""
        parser, transport = self._ps, self._transport
        assert isinstance(transport, FastTransport)
        if parser.state == AWAITING_CONTROL_LINE and self._status == Client.CONNECTED and not transport.reader.buffered:
            self._partial, parser.buf = bytes(parser.buf), bytearray()
        self._registry.read_ended()

    async def _process_pong(self) -> None:
        if self._pongs and self._pongs[0].done():
            self._pongs[0] = asyncio.get_running_loop().create_future()
        await super()._process_pong()

    # Life

    async def _connect_to_server(self, s: Srv) -> None:
        if self._transport is not None:
            self._transport.close()  # type: ignore[no-untyped-call]  # an attempt that failed after it had connected
        s.last_attempt = time.monotonic()
        self._transport = FastTransport()  # type: ignore[no-untyped-call]
        await self._transport.connect(s.uri, DEFAULT_BUFFER_SIZE, self.options["connect_timeout"])

    async def _process_connect_init(self) -> None:
        self._ps.reset()
        self._partial = b""
        await super()._process_connect_init()
        assert isinstance(self._transport, FastTransport)
        self._transport.reader.take = self.take
        # Before anything else on the new connection, so that a flush afterwards proves that all are in place.
        self._transport.write(self._registry.commands())  # type: ignore[no-untyped-call]

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

    async def discard(self) -> None:
        """Close, within DISCARD_S, and leave no socket behind: nats-py leaves one when a first attempt is cancelled."""
        with contextlib.suppress(Exception):
            async with asyncio.timeout(DISCARD_S):
                await self.close()
        if self._transport is not None:
            self._transport.close()  # type: ignore[no-untyped-call]

    def lose(self, reason: Exception | None) -> None:
        """Give this client up: the connection makes another."""
        if not self.lost.is_set():
            self.reason = reason
            self.lost.set()


class TurnParser(Parser):
    """nats-py's parser, which tells whether it stands between two messages and when it has parsed what it was given."""

    def __init__(self, client: FastClient) -> None:
        super().__init__(client)
        self._client = client
        self._parsing = False

    @property
    def between_messages(self) -> bool:
        """Whether the next byte begins a message that nothing before it is still waiting for."""
        return not self._parsing and not self.buf and self.state == AWAITING_CONTROL_LINE

    async def parse(self, data: bytes = b"") -> None:
        """Parse ``data`` and tell the client."""
        self._parsing = True
        try:
            await super().parse(data)
        finally:
            self._parsing = False
            self._client.parsed()
