"""The client, as an application uses it."""

import asyncio
import random
import ssl
import uuid
from collections.abc import Callable, Mapping
from functools import cached_property
from importlib.metadata import version
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import httpx

from whimbrel.client.addresses import Addresses
from whimbrel.client.changes import Changes
from whimbrel.client.checks import check_begin, check_channel, check_client, lawful
from whimbrel.client.core.effects import Dial
from whimbrel.client.core.requests import Request
from whimbrel.client.core.session import Session
from whimbrel.client.core.timing import Timing
from whimbrel.client.core.transports import Preference
from whimbrel.client.errors import Closed, Misuse, RequestFailed, RequestTimeout
from whimbrel.client.events import Publication, State
from whimbrel.client.shell.driver import Driver
from whimbrel.client.shell.eventstream import EventStreamLink
from whimbrel.client.shell.poll import PollLink
from whimbrel.client.shell.port import Carrier, Port, Unreachable
from whimbrel.client.shell.websocket import WebSocketLink
from whimbrel.client.subscription import Granted, Subscription
from whimbrel.client.tokens import Tokens, TokenSource
from whimbrel.protocol.channels import INBOX
from whimbrel.protocol.codes import ErrorCode
from whimbrel.protocol.frames import Ack, Error, History, Inbox, Ok, Presence, Publish, encode
from whimbrel.protocol.limits import HISTORY_LIMIT, MAX_FRAME_BYTES
from whimbrel.protocol.positions import Position

CAPACITY: Final = 1000  # publications that may wait in one subscription; what one recovery brings at most
REQUEST_S: Final = 10.0
PUBLISH_S: Final = 60.0  # a train's tunnel; what was meant for now is not sent an hour later
TOKEN_S: Final = 20.0  # for the application's token provider
AGENT: Final = f"whimbrel-python/{version('whimbrel-client')}"


class Page(NamedTuple):
    """Retained publications, oldest first."""

    publications: tuple[Publication, ...]
    epoch: str | None


class InboxPage(NamedTuple):
    """Messages of the inbox, oldest first; how many are ``unread`` in all, behind the read mark ``read``.

    Not ``complete``: the inbox is full of unread messages, and older ones may have been dropped unread.
    """

    publications: tuple[Publication, ...]
    unread: int
    read: int
    complete: bool
    epoch: str | None


class Client:
    """A connection to Whimbrel that comes back by itself.

    Entering the context begins to connect and waits for nothing: ``connected()`` does, and so does everything that
    needs an answer. Nothing that an application awaits within its own loop can keep the client from reading.
    """

    def __init__(
        self,
        url: str,
        *,
        token: TokenSource,
        transport: Preference = "auto",
        device: str | None = None,
        headers: Mapping[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
        timing: Timing | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """``url`` is the base of an edge; ``token`` a text, or a (coroutine) function that returns one, and None where
        nobody is signed in any more: that closes the client.

        ``headers`` go with every HTTP request; ``jitter`` yields numbers in [0, 1). Raises Misuse.
        """
        check_client(token, transport, device)
        self._addresses = Addresses.of(url)
        self._tokens = Tokens(token, timeout_s=TOKEN_S)
        self._headers = dict(headers or {})
        self._tls = tls
        self._timing = timing or Timing()
        self._session = Session(
            timing=self._timing,
            preference=transport,
            renewable=self._tokens.renewable,
            jitter=jitter,
            device=device,
            client=AGENT,
        )
        self._running: Driver | None = None

    async def __aenter__(self) -> Self:
        if self._running is not None:
            raise Misuse("a client is used once; make a new one")
        self._running = Driver(self._session, self._tokens, self._make_link)
        self._running.perform(self._session.start(self._running.now))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close for good: subscriptions end, nothing is left running."""
        await self._driver.close()
        if "_http" in self.__dict__:  # it was needed
            await self._http.aclose()

    # --- state

    @property
    def state(self) -> State:
        """Where the client is now."""
        return self._session.state

    @property
    def user(self) -> str | None:
        """Who the edge says we are; None before the first connection, and while polling."""
        return self._session.user

    def states(self) -> Changes:
        """Return every change of state from now on, as an asynchronous iterator that ends behind CLOSED."""
        changes = Changes(self.state)
        self._driver.watchers.add(changes)
        return changes

    async def connected(self) -> None:
        """Wait until the client is connected.

        Raises Closed.
        """
        changes = self.states()
        while self.state is not State.CONNECTED:
            if self.state is State.CLOSED:
                raise Closed(*self._session.ended_by)
            await anext(changes)

    # --- channels

    def subscribe(
        self, channel: str, *, position: Position | None = None, last: int | None = None, capacity: int = CAPACITY
    ) -> Subscription:
        """Return the subscription to open by ``async with``.

        It begins behind ``position``, else with the ``last`` publications, else now (an inbox at the user's read mark).
        Where ``capacity`` publications wait to be taken the channel pauses, and goes on from its position once half of
        them were; an ephemeral channel leaves out what finds no room. Raises Misuse.
        """
        check_channel(channel)
        check_begin(position, last, capacity)
        return Subscription(
            self._driver, channel, position=position, last=last, capacity=capacity, ack=self._acknowledge
        )

    def inbox(self, *, position: Position | None = None, capacity: int = CAPACITY) -> Subscription:
        """Return the subscription to the user's own channel; without ``position`` it begins at the read mark."""
        return self.subscribe(INBOX, position=position, capacity=capacity)

    def granted(self, *, capacity: int = CAPACITY) -> Granted:
        """Return everything that the edge opens by itself: the inbox and the user's groups, now and later ones.

        A channel that has a subscription of its own is left to that. Over polling there is only the inbox.
        """
        return Granted(self._driver, capacity=capacity)

    # --- requests

    async def publish(
        self, channel: str, event: str, data: Any, *, key: str | None = None, timeout: float = PUBLISH_S
    ) -> int | None:
        """Publish; return the offset, None in an ephemeral channel.

        While the connection is away it waits, for ``timeout`` seconds at most; 256 requests wait, and one more fails
        with `limit_exceeded`. ``key`` tells a repeat from something new (≤ 64 characters); without one the client makes
        one, so that it can repeat across a lost connection. Raises RequestFailed, RequestTimeout, Closed.
        """
        check_channel(channel)
        key = key or uuid.uuid4().hex
        try:
            with lawful():
                request = Publish(id=self._session.new_request_id(), channel=channel, event=event, data=data, key=key)
            size = len(encode(request))
        except (ValueError, TypeError) as error:
            raise Misuse(f"this cannot be published: {error}") from error
        if size > MAX_FRAME_BYTES:
            # The edge would close the connection over it.
            why = f"a publication of {size} bytes is over the limit of {MAX_FRAME_BYTES}; send a link instead"
            raise RequestFailed(ErrorCode.TOO_LARGE, ErrorCode.TOO_LARGE.slug, why)
        return (await self._ask(request, timeout)).offset

    async def history(
        self,
        channel: str,
        *,
        after: int | None = None,
        before: int | None = None,
        limit: int = HISTORY_LIMIT,
        timeout: float = REQUEST_S,
    ) -> Page:
        """Read retained publications back, oldest first.

        Raises RequestFailed, RequestTimeout, Closed.
        """
        check_channel(channel)
        frame_id = self._session.new_request_id()
        with lawful():
            request = History(id=frame_id, channel=channel, after=after, before=before, limit=limit)
        answer = await self._ask(request, timeout)
        named = (each.model_copy(update={"channel": channel}) for each in answer.publications or ())
        return Page(tuple(named), answer.epoch)

    async def list_inbox(
        self,
        *,
        unread: bool = False,
        before: int | None = None,
        limit: int = HISTORY_LIMIT,
        timeout: float = REQUEST_S,
    ) -> InboxPage:
        """Tell what is in the user's inbox now: the newest ``limit`` messages (0 only counts), only ``unread`` ones, or
        those ``before`` an offset.

        Raises RequestFailed, RequestTimeout, Closed.
        """
        frame_id = self._session.new_request_id()
        with lawful():
            request = Inbox(id=frame_id, unread=unread, before=before, limit=limit)
        answer = await self._ask(request, timeout)
        named = (each.model_copy(update={"channel": INBOX}) for each in answer.publications or ())
        return InboxPage(tuple(named), answer.unread or 0, answer.read or 0, answer.complete is not False, answer.epoch)

    async def ack(self, channel: str, offset: int, *, timeout: float = REQUEST_S) -> int:
        """Tell that everything up to ``offset`` was handled; return the read mark that holds now.

        Raises RequestFailed, RequestTimeout, Closed.
        """
        check_channel(channel)
        with lawful():
            request = Ack(id=self._session.new_request_id(), channel=channel, offset=offset)
        answer = await self._ask(request, timeout)
        return offset if answer.offset is None else answer.offset

    async def presence(self, channel: str, *, timeout: float = REQUEST_S) -> tuple[Any, ...]:
        """Tell who is in the channel.

        Raises RequestFailed, RequestTimeout, Closed.
        """
        check_channel(channel)
        request = Presence(id=self._session.new_request_id(), channel=channel)
        return (await self._ask(request, timeout)).users or ()

    async def refresh(self) -> None:
        """Ask the token provider now and renew the session; by itself the client does so before the token expires.

        Raises TokenUnavailable, RequestFailed, Closed.
        """
        await self._driver.refresh()

    # --- within

    @property
    def _driver(self) -> Driver:
        if self._running is None:
            raise Misuse("enter the client first: async with Client(…) as client")
        return self._running

    async def _acknowledge(self, channel: str, offset: int) -> int:
        return await self.ack(channel, offset)

    async def _ask(self, request: Request, timeout: float) -> Ok:
        assert request.id is not None
        try:
            async with asyncio.timeout(timeout):
                answer = await self._driver.request(request.id, request)
        except TimeoutError:
            raise RequestTimeout(f"no answer to `{request.type}` within {timeout:g} s{self._driver.trouble}") from None
        if isinstance(answer, Error):
            raise RequestFailed.of(answer)
        return answer

    def _make_link(self, dial: Dial, port: Port) -> Carrier:
        match dial.transport:
            case "poll":
                return PollLink(dial.link, self._addresses, port, self._timing, self._http)
            case "sse":
                return EventStreamLink(dial.link, self._addresses, port, self._timing, self._http)
            case "websocket":
                return WebSocketLink(
                    dial.link,
                    self._addresses.websocket,
                    port,
                    self._timing,
                    headers=self._headers,
                    user_agent=AGENT,
                    tls=self._tls_context if self._addresses.websocket.startswith("wss:") else None,
                )

    @cached_property
    def _tls_context(self) -> ssl.SSLContext:
        """One for all transports, so that all trust the same; to read the machine's certificates costs 35 ms."""
        return self._tls or ssl.create_default_context()

    @cached_property
    def _http(self) -> httpx.AsyncClient:
        headers = {"User-Agent": AGENT, **self._headers}
        try:
            return httpx.AsyncClient(headers=headers, verify=self._tls_context)
        except (ImportError, ValueError, httpx.InvalidURL) as error:
            raise Unreachable(f"the proxy that the environment names cannot be used: {error}") from error
