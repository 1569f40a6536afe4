"""The channels of a session over one socket that stays open, and what becomes of them where the socket is slow.

Part of the hot path. What is written goes to the kernel at once; what the kernel does not take counts as the outbox.
Past its high watermark the socket is no longer written live: its channels are left at their positions and caught up
from history once it has drained.

``WebSocket`` and ``EventStream`` say how frames become bytes, and how a stream of them ends.
"""

import asyncio
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import partial

from whimbrel.edge.core.effects import Identified, Open, Send, Wanted
from whimbrel.edge.core.gaps import During
from whimbrel.edge.core.hub import LiveChannel
from whimbrel.edge.core.opening import Opening
from whimbrel.edge.core.outbox import Advice, Outbox
from whimbrel.edge.core.replies import subscribed_frames
from whimbrel.edge.core.states import State
from whimbrel.edge.core.subscription import NotOpened, Opened, in_parts, publication_frames
from whimbrel.edge.shell.conversation import Conversation
from whimbrel.edge.shell.pod import Pod, wall
from whimbrel.protocol.channels import Channel
from whimbrel.protocol.codes import CloseCode
from whimbrel.protocol.positions import Position
from whimbrel.runtime import traces


class Connection(Conversation):
    """The server's side of one socket that carries a session."""

    __slots__ = ("_behind", "_outbox")

    def __init__(self, pod: Pod, transport: asyncio.Transport, presented: Identified | None) -> None:
        super().__init__(pod, transport, presented)
        self._behind: dict[str, Wanted] | None = None  # channels left behind by a slow socket, with their positions
        self._outbox: Outbox | None = None  # while the kernel does not take everything
        # To be told of what the kernel did not take. With TLS not 0: uvloop's would pause and resume at every other
        # write. Without it not 1: who writes past the transport must know of every byte that waits in it.
        transport.set_write_buffer_limits(high=0 if transport.get_extra_info("sslcontext") is None else 1)

    @abstractmethod
    def _join(self, live: LiveChannel) -> bool:
        """Have what ``live`` brings from now on written to this socket; tell whether it was not before."""

    # Channels

    def _open(self, effect: Open) -> None:
        if effect.request == 0:
            assert self.session.identity is not None
            self._watch(self.session.identity)
        self._open_soon(effect)

    def _open_soon(self, effect: Open) -> None:
        """Open the channels in this turn of the loop if memory knows all that was missed, or else as soon as the bus
        has them; no task has to wait unless the stream is read.
        """
        openings, now = self.pod.openings, self.pod.now()
        awaited = [each for each in effect.wanted if self.session.subscriptions.awaits(each.name, effect)]
        found = openings.recall(awaited, now=now)
        if found is not None:
            for each, live, result in found:
                self._attach(each, live, result)
            self._tell_opened({each.name: result for each, _, result in found}, effect)
        # Until `connected` the session itself looks at the clock.
        elif effect.request != 0 or not openings.await_bus(
            awaited, partial(self._guarded, self._open_soon, effect), now=now
        ):
            self.pod.spawn(self._open_slowly([openings.start(each, now=now) for each in awaited], effect), self._failed)

    async def _open_slowly(self, openings: Sequence[Opening], effect: Open) -> None:
        user = self.session.identity.user if self.session.identity is not None else ""
        connect = self.pod.tracing.connect_of(self)
        while not self._opened(openings, effect):
            await self.pod.openings.prepare(openings, user, connect)

    def _opened(self, openings: Sequence[Opening], effect: Open) -> bool:
        """Attach all channels and tell the client, in one turn; False where something must be read first."""
        completed: list[tuple[Opening, Opened | NotOpened]] = []
        for opening in openings:
            if not self.session.subscriptions.awaits(opening.wanted.name, effect):
                continue  # closed, or asked for anew, meanwhile
            result = opening.complete()
            if result is None:
                return False
            completed.append((opening, result))
        for opening, result in completed:
            if isinstance(result, Opened):
                if result.recovered is False:
                    self._note_gap(opening, result, "return")
                self._attach(opening.wanted, opening.live, result)
        self._tell_opened({opening.wanted.name: result for opening, result in completed}, effect)
        return True

    def _tell_opened(self, results: Mapping[str, Opened | NotOpened], effect: Open) -> None:
        self._perform(self.session.opened(results, effect.request, now=self.pod.now(), wall=wall()))
        if effect.request == 0 and self.session.state is State.OPEN:
            self.pod.journal.begun(self)
            self.pod.tracing.connected(self)
        self._schedule(self.pod.now())

    def _attach(self, wanted: Wanted, live: LiveChannel, result: Opened) -> None:
        if self._behind is None:
            if self._join(live):
                self.session.tally.sent -= live.delivered
        else:  # the socket is slow: this channel is behind from here on
            end = Position(epoch=result.epoch, offset=result.end) if result.durable else None
            self._behind[wanted.name] = Wanted(wanted.name, wanted.channel, end)

    def _note_gap(self, opening: Opening, result: Opened, during: During) -> None:
        session = self.session
        user = "" if session.known is None else session.known.user
        if (connect := self.pod.tracing.connect_of(self)) is not None:
            opening.trace = traces.trace_id(connect)
        self.pod.gaps.opened(opening, result, during, user=user, session=session.id, transport=self.CARRIER)

    def _leave(self, live: LiveChannel, *, now: float) -> None:
        if live.serves(self):
            self.session.tally.sent += live.delivered
            self.pod.hub.detach(live, self, now=now)

    def _detach(self, channel: Channel) -> None:
        if self._behind is not None:
            self._behind = {name: each for name, each in self._behind.items() if each.channel != channel}
        live = self.pod.hub.channels.get(channel)
        if live is not None:
            self._leave(live, now=self.pod.now())

    @property
    def behind(self) -> bool:
        """Whether it reads too slowly, and is caught up from history."""
        return self._behind is not None

    # A slow socket

    def pause_writing(self) -> None:
        """The kernel did not take everything."""
        self.pod.hub.changes += 1
        self._outbox = Outbox(self.transport.get_write_buffer_size())
        self.pod.slow.add(self)

    def resume_writing(self) -> None:
        """The kernel has taken everything: catch up."""
        self.pod.hub.changes += 1
        self._outbox = None
        self.pod.slow.discard(self)
        self.transport.resume_reading()
        if self._behind is not None and not self._closing:
            behind, self._behind = self._behind, None
            self.pod.spawn(self._catch_up(behind), self._failed)

    def check_outbox(self, *, now: float, elapsed: float) -> None:
        """Stop live writes beyond the high watermark; close a socket that takes nothing for too long."""
        if self._outbox is None or self._closing:
            return
        unsent, settings = self.transport.get_write_buffer_size(), self.pod.settings
        match self._outbox.look(
            unsent,
            live=self._behind is None,
            elapsed=elapsed,
            high_watermark=settings.outbox_bytes,
            stuck_s=settings.stuck_s,
        ):
            case Advice.LEAVE:
                self._fall_behind(now)
            case Advice.CLOSE:
                self._perform(self.session.close(CloseCode.SLOW_CONSUMER, "the socket took nothing for too long"))
                self.transport.abort()

    def _fall_behind(self, now: float) -> None:
        """Leave all channels at their rings' heads: up to there everything is written, or on its way through a fan-out
        that knows this socket.
        """
        if self.pod.hub.dirty:  # in the middle of a read of the bus: the heads are ahead of what was written
            return
        self._behind = {}
        for name, channel in self.session.subscriptions.channels.items():
            live = self.pod.hub.channels.get(channel)
            if live is None or not live.serves(self):
                continue  # still being opened
            head = None if live.ring is None else Position(epoch=live.epoch, offset=live.ring.head)
            self._behind[name] = Wanted(name, channel, head)
            self._leave(live, now=now)
        self.session.tally.fell_behind += 1
        self.pod.counters.fell_behind += 1

    async def _catch_up(self, behind: dict[str, Wanted]) -> None:
        """Send what the channels left ``behind`` missed, one by one: what the socket does not take in time waits."""
        for name, wanted in behind.items():
            await self.pod.openings.settled(wanted.channel)  # what was under way when the socket left comes first
            opening: Opening | None = None
            while self.session.subscriptions.is_open(name, wanted.channel):
                if self._outbox is not None and self._behind is None:
                    self._fall_behind(self.pod.now())
                if self._behind is not None:  # slow again: after the next drain
                    self._behind.setdefault(name, wanted)
                    break
                opening = opening or self.pod.openings.start(wanted, now=self.pod.now())
                if opening.live.serves(self):  # subscribed anew meanwhile
                    break
                result = opening.complete()
                if result is not None:
                    self._continue(opening, result)
                    break
                await self.pod.openings.prepare([opening], "")

    def _continue(self, opening: Opening, result: Opened | NotOpened) -> None:
        if isinstance(result, NotOpened):  # the bus is away: the client comes back by its position
            self._perform(self.session.close(CloseCode.STATE_LOST, result.message))
            return
        name = opening.wanted.name
        if result.recovered is False:
            self._note_gap(opening, result, "behind")
            self.session.tally.reloads += 1
            self._attach(opening.wanted, opening.live, result)
            self._perform([Send(message) for message in subscribed_frames(name, result, None)])
            return
        *parts, last = in_parts(result.publications)
        for part in parts:  # so much at a time: what the kernel does not take stays in our memory
            self._behind = {}
            self._attach(opening.wanted, opening.live, result._replace(publications=part))
            self._perform([Send(message) for message in publication_frames(name.encode(), part)])
            if self._outbox is not None:
                return
            self._behind = None
        self._attach(opening.wanted, opening.live, result._replace(publications=last))
        self._perform([Send(message) for message in publication_frames(name.encode(), last)])
        self.pod.counters.caught_up += 1

    # Time, and the end

    def tick(self, *, now: float) -> None:
        """Do what time asks for, and schedule the next look."""
        if self._outbox is not None:
            self.session.alive(now=now)  # how should it answer what it has not taken? The outbox watches it
        super().tick(now=now)

    def connection_lost(self, error: Exception | None) -> None:
        """Forget the client."""
        self.pod.hub.changes += 1  # first of all: its descriptor will soon be another client's
        self.pod.slow.discard(self)
        super().connection_lost(error)
