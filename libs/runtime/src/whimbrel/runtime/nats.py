"""The connection to the bus: it comes back by itself, for ever, and keeps its subscriptions.

``deliver`` callbacks run inside the read loop: they must neither block nor raise (a fault is logged and counted, and
the next message follows). Publishing during an outage raises BusUnavailable at once; nothing is kept for later.
"""

import asyncio
import contextlib
import random
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import nats.errors
from nats.js import JetStreamContext

from whimbrel.runtime.delivery import Delivery
from whimbrel.runtime.errors import BusUnavailable, RequestRefused, RequestTimeout
from whimbrel.runtime.fastclient import FastClient
from whimbrel.runtime.inbox import ERROR_CODE, ERROR_TEXT, Inbox
from whimbrel.runtime.logs import Logger
from whimbrel.runtime.subscriptions import Deliver, Registry, Subscription
from whimbrel.runtime.wire import check_subject, encode_publish

__all__ = ["Connection", "Delivery", "Subscription"]

RECONNECT_WAIT_S: Final = 0.2  # between attempts at one server; the same again is added at random per process
CONNECT_TIMEOUT_S: Final = 2
PING_INTERVAL_S: Final = 2  # with 2 outstanding, a half-open connection is noticed after 4–6 s
MAX_OUTSTANDING_PINGS: Final = 2
STUCK_S: Final = 30.0  # nats-py has not reconnected by then: begin again with a new client
FLUSH_TIMEOUT_S: Final = 10
MAX_RESPONDING: Final = 256  # requests in work per responder; more are refused, so that the requester can go elsewhere
TOO_LARGE: Final = 413  # how a request is refused whose answer no message can hold
REPEAT_LOG_S: Final = 10.0  # during an outage, one line as often as this


class Connection:
    """One connection to the bus. Counters are plain integers, read at scrape."""

    def __init__(self, servers: str, *, name: str, log: Logger, inbox_prefix: str = "_INBOX") -> None:
        """``servers``: one or more URLs, comma separated; ``name`` is shown by NATS' monitoring."""
        self.name = name
        self.on_connected: list[Callable[[], None]] = []
        self.on_disconnected: list[Callable[[], None]] = []
        self.connects = 0
        self.rebuilds = 0
        self.faults = 0
        self.slow_consumer_drops = 0
        self._servers = [server.strip() for server in servers.split(",") if server.strip()]
        self._log = log.bind(connection=name)
        self._registry = Registry(self._deliver_failed)
        self._client: FastClient | None = None
        self._jetstream: JetStreamContext | None = None
        self._up = asyncio.Event()
        self._was_up = False
        self._stuck: asyncio.TimerHandle | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._responding: set[asyncio.Task[None]] = set()
        self._last_trouble = -REPEAT_LOG_S
        self.inbox = Inbox(f"{inbox_prefix}.{secrets.token_hex(8)}", self.attach)

    # Life

    async def open(self) -> None:
        """Connect; returns when connected, however long that takes. Cancel it to give up."""
        if self._supervisor is None:
            self._supervisor = asyncio.create_task(self._supervise(), name=f"bus {self.name}")
        await self._up.wait()

    async def close(self, *, timeout: float = 5.0) -> None:
        """Stop deliveries, finish requests in work for at most ``timeout`` s, send what waits, disconnect."""
        for subscription in list(self._registry.by_sid.values()):
            subscription.detach()
        if self._responding:
            await asyncio.wait(self._responding, timeout=timeout)
        for task in self._responding:
            task.cancel()
        with contextlib.suppress(BusUnavailable, RequestTimeout):
            await self.flush(timeout=min(timeout, 1.0))
        supervisor, self._supervisor = self._supervisor, None
        if supervisor is not None:
            supervisor.cancel()
            await asyncio.wait([supervisor])
        self._went_down()

    @property
    def connected(self) -> bool:
        """Whether the bus can be used now."""
        return self._up.is_set()

    @property
    def messages_in(self) -> int:
        """Messages delivered to our own subscriptions."""
        return self._registry.messages_in

    @property
    def subscriptions(self) -> int:
        """Subscriptions held now."""
        return len(self._registry.by_sid)

    @property
    def on_read_end(self) -> Callable[[], None] | None:
        """Called after everything of one socket read was parsed and delivered."""
        return self._registry.on_read_end

    @on_read_end.setter
    def on_read_end(self, read_end: Callable[[], None] | None) -> None:
        self._registry.on_read_end = read_end

    @property
    def client(self) -> FastClient:
        """Return the client that carries the connection now.

        Raises BusUnavailable while there is none. Do not keep it: another may take its place.
        """
        if self._client is None or not self._up.is_set():
            raise BusUnavailable("no connection to NATS")
        return self._client

    @property
    def jetstream(self) -> JetStreamContext:
        """Return nats-py's JetStream context of the current client.

        Raises BusUnavailable while down. Do not keep it, nor its subscriptions, beyond a disconnect.
        """
        client = self.client
        if self._jetstream is None:
            self._jetstream = client.jetstream()
        return self._jetstream

    async def _supervise(self) -> None:
        while True:
            client = self._client = self._registry.carrier = FastClient(self._registry)
            self._jetstream = None
            try:
                await client.connect(
                    self._servers,
                    name=self.name,
                    inbox_prefix=self.inbox.prefix.encode() + b".js",
                    error_cb=self._on_error,
                    disconnected_cb=self._on_down,
                    reconnected_cb=self._on_up,
                    connect_timeout=CONNECT_TIMEOUT_S,
                    max_reconnect_attempts=-1,
                    reconnect_time_wait=RECONNECT_WAIT_S * (1 + random.random()),  # type: ignore[arg-type]
                    ping_interval=PING_INTERVAL_S,
                    max_outstanding_pings=MAX_OUTSTANDING_PINGS,
                )
                await client.flush()  # every subscription is known to the server
                self._came_up()
                await client.lost.wait()
                self._log.warning("bus.client_lost", reason=str(client.reason or "closed by nats-py"))
            except asyncio.CancelledError:
                await client.discard()
                raise
            except Exception as error:  # whatever nats-py met: the next client tries again
                self._log.warning("bus.connect_failed", error=str(error) or type(error).__name__)
            self._went_down()
            self.rebuilds += 1
            await client.discard()
            await asyncio.sleep(RECONNECT_WAIT_S * (1 + random.random()))

    async def _on_up(self) -> None:
        self._came_up()

    async def _on_down(self) -> None:
        self._went_down()

    def _came_up(self) -> None:
        if self._up.is_set():
            return
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None
        self.connects += 1
        self._up.set()
        self._log.info("bus.connected", again=self._was_up)
        self._was_up = True
        self._call(self.on_connected)

    def _went_down(self) -> None:
        if not self._up.is_set():
            return
        self._up.clear()
        client = self._client
        if client is not None and self._supervisor is not None:
            self._stuck = asyncio.get_running_loop().call_later(STUCK_S, client.lose, TimeoutError("no reconnect"))
        self._log.info("bus.disconnected")
        self.inbox.lost()
        self._call(self.on_disconnected)

    def _call(self, callbacks: list[Callable[[], None]]) -> None:
        for callback in list(callbacks):
            try:
                callback()
            except Exception as error:
                self._deliver_failed("connection callback", error)

    async def _on_error(self, error: Exception) -> None:
        self.faults += 1
        if isinstance(error, nats.errors.SlowConsumerError):
            self.slow_consumer_drops += 1
            self._log.error("bus.message_dropped", subject=error.subject)
            return
        now = time.monotonic()
        if self.connected or now - self._last_trouble >= REPEAT_LOG_S:
            self._last_trouble = now
            self._log.warning("bus.error", error=str(error) or type(error).__name__, connected=self.connected)

    def _deliver_failed(self, where: str, error: Exception) -> None:
        self.faults += 1
        self._log.exception("bus.delivery_failed", error, where=where)

    # Subscribe

    def attach(self, subject: str, deliver: Deliver, *, queue: str = "") -> Subscription:
        """Subscribe without awaiting, e.g. from within a delivery; ``Subscription.detach`` ends it.

        Costs one line in the next write, and during an outage nothing: the next connection gets all subscriptions.
        Raises MalformedMessage.
        """
        check_subject(subject)
        if queue:
            check_subject(queue)
        return self._registry.attach(subject, queue, deliver)

    async def subscribe(self, subject: str, deliver: Deliver, *, queue: str = "") -> Subscription:
        """Have ``deliver`` called for each message on ``subject``, inside the read loop.

        Does not wait for the server: ``flush`` afterwards proves that the subscription is in place.
        Raises MalformedMessage.
        """
        return self.attach(subject, deliver, queue=queue)

    # Publish

    def send(self, subject: str, payload: bytes, *, headers: Mapping[str, str] | None = None, reply: str = "") -> None:
        """Publish without awaiting: written with whatever else this turn of the loop sends.

        Raises BusUnavailable, MalformedMessage.
        """
        client = self.client
        client.write(encode_publish(subject, payload, headers, reply, max_payload=client.max_payload))

    def send_along(self, subject: str, payload: bytes) -> None:
        """Publish without awaiting what nobody waits for: written with what is sent next, ALONG_S later at the latest.

        Raises BusUnavailable, MalformedMessage.
        """
        client = self.client
        client.write_along(encode_publish(subject, payload, None, "", max_payload=client.max_payload))

    async def publish(
        self, subject: str, payload: bytes, *, headers: Mapping[str, str] | None = None, reply: str = ""
    ) -> None:
        """Publish at most once; ``flush`` afterwards proves that the server has it.

        Raises BusUnavailable (nothing was sent), MalformedMessage.
        """
        self.send(subject, payload, headers=headers, reply=reply)

    async def flush(self, *, timeout: float = FLUSH_TIMEOUT_S) -> None:
        """Wait until the server has taken everything sent before.

        Raises BusUnavailable, RequestTimeout.
        """
        try:
            await self.client.flush(timeout=timeout)  # type: ignore[arg-type]
        except nats.errors.TimeoutError as error:
            raise RequestTimeout(f"no PONG from NATS within {timeout} s") from error
        except nats.errors.ConnectionClosedError as error:
            raise BusUnavailable("no connection to NATS") from error

    # Ask and answer

    def ask(
        self, subject: str, payload: bytes, *, headers: Mapping[str, str] | None = None
    ) -> asyncio.Future[Delivery]:
        """Send a request; the future gives the reply, fails with NoResponders, RequestRefused or, when the
        connection is lost, RequestTimeout. It has no deadline of its own: ``request`` has; cancel it to give up.

        Raises BusUnavailable, MalformedMessage.
        """
        reply: asyncio.Future[Delivery] = asyncio.get_running_loop().create_future()
        address = self.inbox.expect(reply)
        try:
            self.send(subject, payload, headers=headers, reply=address)
        except BaseException:
            reply.cancel()
            raise
        return reply

    async def request(
        self, subject: str, payload: bytes, *, timeout: float, headers: Mapping[str, str] | None = None
    ) -> Delivery:
        """Send a request and return the reply.

        Raises BusUnavailable (not sent), NoResponders, RequestTimeout, RequestRefused (the responder's error),
        MalformedMessage.
        """
        try:
            async with asyncio.timeout(timeout):
                return await self.ask(subject, payload, headers=headers)
        except TimeoutError:
            raise RequestTimeout(f"no reply on {subject} within {timeout} s") from None

    async def respond(
        self,
        subject: str,
        handler: Callable[[bytes], Awaitable[bytes]],
        *,
        queue: str = "",
        limit: int = MAX_RESPONDING,
    ) -> Subscription:
        """Answer requests on ``subject`` with what ``handler`` returns for their payload.

        At most ``limit`` are in work at a time, more are refused with 503; a handler that raises answers 500 and is
        logged, but RequestRefused answers with its own code and reason, and what no message can hold is TOO_LARGE.
        """

        def receive(request: Delivery) -> None:
            if len(self._responding) >= limit:
                self._refuse(request, 503, "too many requests in work")
                return
            task = asyncio.create_task(self._answer(request, handler))
            self._responding.add(task)
            task.add_done_callback(self._responding.discard)

        return await self.subscribe(subject, receive, queue=queue)

    async def _answer(self, request: Delivery, handler: Callable[[bytes], Awaitable[bytes]]) -> None:
        try:
            answer = await handler(request.payload)
            if len(answer) > self.client.max_payload:
                raise RequestRefused(TOO_LARGE, f"an answer of {len(answer)} bytes: ask for less at once")
            if request.reply:
                self.send(request.reply, answer)
        except RequestRefused as refusal:
            self._refuse(request, refusal.code, refusal.reason)
        except BusUnavailable:
            pass  # the requester sees the same outage, or its own deadline
        except Exception as error:
            self._deliver_failed(request.subject, error)
            self._refuse(request, 500, "internal")

    def _refuse(self, request: Delivery, code: int, reason: str) -> None:
        if request.reply:
            with contextlib.suppress(BusUnavailable):
                self.send(request.reply, b"", headers={ERROR_CODE: str(code), ERROR_TEXT: reason})
