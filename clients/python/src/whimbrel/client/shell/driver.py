"""Carries out what the session decides. Everything here happens on one event loop, between two awaits: no locks."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol, assert_never
from weakref import WeakSet

from whimbrel.client.core.effects import (
    Answer,
    AskToken,
    Changed,
    Deliver,
    Dial,
    Effect,
    End,
    HangUp,
    Opened,
    Refreshed,
    Repoll,
    Send,
)
from whimbrel.client.core.link import BROKEN, Loss
from whimbrel.client.core.polling import Poll
from whimbrel.client.core.requests import Request
from whimbrel.client.core.session import Session
from whimbrel.client.errors import ClientError, Closed, TokenUnavailable
from whimbrel.client.events import State, StateChange
from whimbrel.client.shell.port import Carrier, Port, Unreachable
from whimbrel.client.tokens import Tokens
from whimbrel.protocol.bodies import PollReply
from whimbrel.protocol.frames import EdgeFrame, Error, Ok


class Sink(Protocol):
    """Who reads a channel."""

    def opened(self) -> None:
        """The channel is open."""
        ...

    def delivered(self, delivery: Deliver) -> None:
        """Take the next event."""
        ...

    def ended(self, error: ClientError | None) -> None:
        """Nothing more comes."""
        ...


class Watcher(Protocol):
    """Who follows the state of the client."""

    def told(self, change: StateChange) -> None:
        """Take the next change."""
        ...


class Driver:
    """One session at work. ``make_link(dial, port)`` makes a transport."""

    def __init__(self, session: Session, tokens: Tokens, make_link: Callable[[Dial, Port], Carrier]) -> None:
        self.session = session
        self.sinks: dict[str, Sink] = {}
        self.granted: Sink | None = None  # reads what the edge opens by itself
        self.watchers: WeakSet[Watcher] = WeakSet()  # who follows the state, as long as somebody holds it
        self.trouble = ""  # why there is no connection, as the end of a sentence
        self._tokens = tokens
        self._make_link = make_link
        self._loop = asyncio.get_running_loop()
        self._links: dict[int, Carrier] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._answers: dict[int, asyncio.Future[Ok | Error]] = {}
        self._refreshes: list[asyncio.Future[None]] = []
        self._asking: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def now(self) -> float:
        """Seconds of the loop's clock."""
        return self._loop.time()

    @property
    def bearer(self) -> str:
        """The token for HTTP requests."""
        return self.session.bearer

    # --- Port: what links report

    def opened(self, link: int) -> None:
        """The transport is open."""
        self.perform(self.session.opened(link, self.now))

    def received(self, link: int, frames: Sequence[EdgeFrame]) -> None:
        """The edge said something."""
        self.perform(self.session.received(link, frames, self.now))

    def poll(self, link: int) -> Poll | None:
        """Return what to poll for."""
        return self.session.poll(link, self.now)

    def advice_s(self) -> float:
        """Return how long to wait before the policy is asked for again."""
        return self.session.advice_s()

    def polled(self, link: int, asked: Poll, reply: PollReply) -> None:
        """The edge answered a poll."""
        self.perform(self.session.polled(link, asked, reply, self.now))

    def lost(self, link: int, loss: Loss) -> None:
        """The transport ended, or did not open."""
        self._let_go(link)
        self.perform(self.session.lost(link, loss, self.now))

    # --- what the application waits for

    async def request(self, request_id: int, request: Request) -> Ok | Error:
        """Return the edge's answer; it is waited for across losses of the connection.

        Raises Closed, and RequestFailed where too many wait already.
        """
        answer: asyncio.Future[Ok | Error] = self._loop.create_future()
        self.perform(self.session.request(request_id, request))
        self._answers[request_id] = answer
        try:
            return await answer
        finally:
            self._answers.pop(request_id, None)
            self.perform(self.session.forget(request_id))

    async def refresh(self) -> None:
        """Renew the token. Raises TokenUnavailable, RequestFailed, Closed."""
        done: asyncio.Future[None] = self._loop.create_future()
        self.perform(self.session.refresh())
        self._refreshes.append(done)
        await done

    async def close(self) -> None:
        """Close for good, and wait until nothing is left running."""
        self.perform(self.session.close())
        for task in [*self._ending, *([self._asking] if self._asking else [])]:
            await asyncio.wait([task])

    # --- effects

    def perform(self, effects: Sequence[Effect]) -> None:
        """Carry out ``effects`` in order."""
        for effect in effects:
            self._perform(effect)
        self._set_timer()

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Deliver(channel=channel):
                sink = self.sinks.get(channel, self.granted)
                if sink is not None:
                    sink.delivered(effect)
            case Send(link=link, frame=frame):
                if link in self._links:
                    self._links[link].send(frame)
            case Repoll(link=link):
                if link in self._links:
                    self._links[link].repoll()
            case Dial(link=link):
                self._open(link, effect)
            case HangUp(link=link, code=code):
                if link in self._links:
                    self._links[link].hang_up(code)
                    self._let_go(link)
            case AskToken():
                self._asking = self._loop.create_task(self._fetch_token(), name="whimbrel-token")
            case Refreshed(error=error):
                self._end_refreshes(error)
            case Opened(channel=channel):
                if channel in self.sinks:
                    self.sinks[channel].opened()
            case End(channel=channel, error=error):
                ended = self.sinks.pop(channel, None)
                if ended is not None:
                    ended.ended(error)
            case Answer(id=request_id, reply=reply):
                answer = self._answers.get(request_id)
                if answer is not None and not answer.done():
                    answer.set_result(reply)
            case Changed(change=change):
                self._changed(change)
            case _:
                assert_never(effect)

    def _open(self, link: int, dial: Dial) -> None:
        try:
            self._links[link] = self._make_link(dial, self)
        except Unreachable as error:  # the session hears of it as of any other link: later
            self._loop.call_soon(self.lost, link, Loss(BROKEN, str(error)))
        else:
            self._links[link].open()

    def _changed(self, change: StateChange) -> None:
        match change.state:
            case State.CONNECTED:
                self.trouble = ""
            case State.DISCONNECTED:
                self.trouble = f"; the client is not connected: {change.reason} ({change.code})"
            case _:
                pass
        if change.state is State.CLOSED:
            error = Closed(change.code, change.reason)
            for answer in self._answers.values():
                if not answer.done():
                    answer.set_exception(error)
            self._end_refreshes(error)
            if self.granted is not None:
                self.granted.ended(None if change.code == 1000 else error)
            if self._asking is not None:
                self._asking.cancel()
        for watcher in list(self.watchers):
            watcher.told(change)

    def _end_refreshes(self, error: ClientError | None) -> None:
        waiting, self._refreshes = self._refreshes, []
        for done in waiting:
            if done.done():
                continue
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)

    async def _fetch_token(self) -> None:
        try:
            token = await self._tokens.fetch()
        except TokenUnavailable as error:
            self.perform(self.session.token_failed(str(error), self.now))
        else:
            self.perform(self.session.token(token, self.now))

    def _let_go(self, link: int) -> None:
        """Forget a link, but wait for its end at ``close``: a task left behind would outlive the client."""
        carrier = self._links.pop(link, None)
        if carrier is not None:
            ending = self._loop.create_task(carrier.ended(), name=f"whimbrel-end-{link}")
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)

    def _set_timer(self) -> None:
        deadline = self.session.deadline
        if self._timer is not None and deadline is not None and self._timer.when() <= deadline:
            return  # it rings early, finds nothing due, and is set anew: cheaper than a new timer for every frame
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if deadline is None else self._loop.call_at(deadline, self._ring)

    def _ring(self) -> None:
        self._timer = None
        self.perform(self.session.tick(self.now))
