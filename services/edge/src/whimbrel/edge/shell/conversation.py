"""One session over one socket that stays open: what the session wants done, but for its channels.

Part of the hot path: no task, no queue and no library object per socket.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence, Set
from functools import partial
from typing import Any, ClassVar, Final, assert_never

from whimbrel.edge.core.effects import (
    Close,
    Detach,
    Effect,
    Execute,
    Identified,
    Identify,
    Open,
    Rejected,
    Send,
)
from whimbrel.edge.core.heartbeat import Slot
from whimbrel.edge.core.identity import Identity
from whimbrel.edge.core.session import LEAVING, Session
from whimbrel.edge.core.states import State
from whimbrel.edge.shell.pod import Pod, wall
from whimbrel.protocol.bodies import Transport
from whimbrel.protocol.channels import Channel
from whimbrel.protocol.codes import CloseCode

CLOSE_WAIT_S: Final = 2.0  # for the peer's end; data under way is lost if we reset the connection at once


class Conversation(asyncio.Protocol, ABC):
    """The server's side of a session, whatever carries it."""

    __slots__ = (
        "_closing",
        "_watched",
        "pod",
        "session",
        "slot",
        "transport",
    )

    CARRIER: ClassVar[Transport]
    EOF_IS_GOODBYE: ClassVar[bool]  # whether a client who leaves can say so in no other way

    def __init__(self, pod: Pod, transport: asyncio.Transport, presented: Identified | None) -> None:
        self.pod = pod
        self.transport = transport
        self.slot: Slot | None = None
        self.session: Session = pod.new_session()
        self._closing = False
        self._watched: str | None = None  # the user whose changes this socket is told of
        pod.connections.add(self)
        pod.counters.open[self.CARRIER] += 1
        pod.counters.accepted[self.CARRIER] += 1
        pod.tracing.connecting(self)
        if presented is not None:
            self.session.present(presented)
            self._watch(presented.identity)
        self._schedule(pod.now())

    @property
    def opened_at(self) -> float:
        """When it began (Unix s), by the loop's clock: a number of its own would be 32 bytes of each connection."""
        return self.pod.unix_zero + self.session.born

    # What a transport says in its own way

    @abstractmethod
    def _send(self, message: bytes) -> None:
        """Write one message: the JSON of a frame, or of an array of frames."""

    @abstractmethod
    def _say_end(self, code: CloseCode) -> None:
        """Tell the client that nothing follows; ``disconnect`` was sent before."""

    @abstractmethod
    def _open(self, effect: Open) -> None:
        """Open channels and tell the session."""

    @abstractmethod
    def _detach(self, channel: Channel) -> None:
        """Stop delivering ``channel``."""

    @property
    @abstractmethod
    def behind(self) -> bool:
        """Whether it reads too slowly, and is caught up from history."""

    # Effects out

    def _perform(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send(message):
                    if not self._closing:
                        self._send(message)
                        self.session.tally.sent += 1
                case Close(code):
                    self._close(code)
                case Identify(refresh_id=None):
                    self.pod.entrance.enter(partial(self._guarded, self._identify, effect))
                case Identify():
                    self._identify(effect)
                case Open():
                    self._open(effect)
                case Detach(channel):
                    self._detach(channel)
                case Execute():
                    durable = self.pod.durable(effect.channel.namespace)
                    self.pod.spawn(self._execute(effect, durable), self._failed)
                case _:
                    assert_never(effect)

    def _close(self, code: CloseCode) -> None:
        if self._closing:
            return
        self._closing = True
        self._say_end(code)
        wait_s = 0.0 if code is CloseCode.NO_PONG else CLOSE_WAIT_S  # who answered no ping answers no close
        self.pod.wheel.schedule(self, self.pod.now() + wait_s)

    def _identify(self, effect: Identify) -> None:
        gatekeeper, token = self.pod.gatekeeper, effect.token
        outcome = gatekeeper.identify_at_once(token, effect.resume, now=self.pod.now())
        if outcome is not None:
            self._identified(effect, outcome)
        else:
            assert token is not None
            gatekeeper.ask(token, partial(self._guarded, self._identified, effect), now=self.pod.now())

    def _guarded(self, step: Callable[..., object], *arguments: Any) -> None:
        """Take a step for which nobody waits."""
        try:
            step(*arguments)
        except Exception as error:  # a fault of ours must cost one connection, not those beside it
            self.pod.log.exception("connection.failed", error)
            self._failed()

    def _identified(self, effect: Identify, outcome: Identified | Rejected) -> None:
        if effect.refresh_id is not None:
            self._perform(self.session.refreshed(outcome, effect.refresh_id, wall=wall()))
            self._schedule(self.pod.now())
            return
        if isinstance(outcome, Identified):
            outcome = self.pod.admission.crowd(outcome.identity.user, self) or outcome
        self.pod.tracing.identified(self)
        self._perform(self.session.identified(outcome, wall=wall()))

    async def _execute(self, effect: Execute, durable: bool) -> None:
        session = self.session
        assert session.identity is not None
        reply = await self.pod.requests.answer(
            effect.frame,
            effect.channel,
            user=session.identity.user,
            session=session.id,
            durable=durable,
        )
        session.finished()
        if reply is not None and session.state is State.OPEN:
            self._perform([Send(reply)])

    # The user

    def _watch(self, identity: Identity) -> None:
        if self._watched is not None and self._watched != identity.user:
            self.pod.users.detach(self._watched, self, now=self.pod.now())
        self._watched = identity.user
        self.pod.users.attach(identity, self, now=self.pod.now())

    def groups_changed(self, *, joined: tuple[str, ...], left: tuple[str, ...]) -> None:
        """Follow the router's change of the user's memberships; a repeat changes nothing."""
        before = self.session.known
        if before is not None:
            identity = before.changed(joined=joined, left=left)
            if identity != before:  # the router tells each change twice
                told = Identified(identity, self.pod.gatekeeper.seal(identity))
                self._perform(self.session.rights_changed(told))

    def acked(self, channel: Channel, offset: int, origin: str) -> None:
        """Pass on that session ``origin`` of the user acknowledged."""
        self._perform(self.session.acked(channel, offset, origin))

    def advised(self, policy: bytes) -> None:
        """Pass on a ``policy`` frame."""
        self._perform(self.session.advised(policy))

    def rules_changed(self, renewed: Set[Channel]) -> None:
        """Follow a change of the namespaces; ``renewed`` channels became durable or ephemeral."""
        if renewed and not renewed.isdisjoint(self.session.subscriptions.channels.values()):
            self._perform(self.session.close(CloseCode.STATE_LOST, "a channel became durable or ephemeral"))
        else:
            self._perform(self.session.rules_changed())

    # Time

    def tick(self, *, now: float) -> None:
        """Do what time asks for, and schedule the next look."""
        if self._closing:
            self.transport.abort()
            return
        if effects := self.session.tick(now=now, wall=wall()):
            self._perform(effects)
        self._schedule(now)

    def _schedule(self, now: float) -> None:
        if not self._closing:
            self.pod.wheel.schedule(self, self.session.deadline(now=now, wall=wall()))

    def leaving(self) -> None:
        """Stay until it is time to move."""

    def tell_drain(self, *, after_ms: int) -> None:
        """Say when to move elsewhere; until then everything goes on."""
        self._perform(self.session.leaving(after_ms))

    def drain(self) -> None:
        """Close: the time to move is over."""
        self._perform(self.session.close(CloseCode.DRAINING, LEAVING))

    # The end

    def _failed(self) -> None:
        self._perform(self.session.close(CloseCode.INTERNAL, "a fault in the edge"))

    def eof_received(self) -> None:
        """Close our half too."""

    def connection_lost(self, error: Exception | None) -> None:
        """Forget the client; one line tells how the session ended."""
        pod, session = self.pod, self.session
        goodbye = self._closing or (error is None and self.EOF_IS_GOODBYE)
        self._closing = True  # what is still on its way finds nobody
        self._perform(session.lost())
        pod.forget(self)
        pod.sockets -= 1
        pod.wheel.discard(self)
        pod.counters.open[self.CARRIER] -= 1
        code = session.closed_with
        pod.counters.closed[("client" if goodbye else "network") if code is None else code.slug] += 1
        if self._watched is not None:
            pod.users.detach(self._watched, self, now=pod.now())
        pod.journal.ended(self, goodbye=goodbye)
        pod.tracing.gone(self)
