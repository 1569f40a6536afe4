"""The hub: which channels the pod holds, and who of its clients is in each.

Members are opaque: a WebSocket is known by its bound ``write``, a stream of events by its ``deliver``, a waiting poll
by what it does when it is woken.
"""

from collections.abc import Callable, Hashable, Iterable, MutableMapping, Sequence
from itertools import islice
from typing import Any, Final, Protocol

from whimbrel.edge.core.events import Batch
from whimbrel.edge.core.replies import subscribed_frames
from whimbrel.edge.core.ring import Ring, Stored, Verdict
from whimbrel.edge.core.subscription import Opened
from whimbrel.protocol.channels import INBOX, USER_NAMESPACE, Channel
from whimbrel.protocol.publications import ephemeral_frame, publication_frame

Write = Callable[[bytes], None]
Deliver = Callable[[Batch], None]
Turn = MutableMapping[Any, Any]  # what was composed in one turn of the loop, by what was asked

NO_FRAMES: Final[list[bytes]] = []  # one for all channels that have none: a list of their own is 72 bytes
_INBOX: Final = INBOX.encode()  # one object for all
_NEXT: Final = Verdict.NEXT
LINGER_S: Final = 30.0  # a channel stays that long after its last member: reconnects and polls find it warm
REAP_S: Final = 15.0  # between two looks at who is idle: one at 10,000 users and their channels takes 3 to 5 ms


class Subscribed(Protocol):
    """What brings a channel's publications."""

    def detach(self) -> None:
        """Bring no more; a second call does nothing."""


class Waiter(Protocol):
    """Who waits for publications of some channels."""

    def hear(self, frames: Sequence[bytes]) -> None:
        """Keep the publications of an ephemeral channel: no ring has them."""

    def answer(self, turn: Turn) -> None:
        """Look at the channels; who asks the same as another one in this ``turn`` is answered with the same bytes."""


class LiveChannel:
    """One channel that the pod holds. ``name`` is what its subscribers call it.

    ``ring`` is None in an ephemeral channel and until the head is known; ``newest`` is the highest offset heard of:
    above the ring's head, a gap is open. ``gone``: the pod holds it no more, and nothing will come.
    """

    __slots__ = (
        "_alone",
        "_audience",
        "_following",
        "_write",
        "_writers",
        "catching_up",
        "channel",
        "delivered",
        "durable",
        "epoch",
        "followers",
        "gone",
        "idle_since",
        "name",
        "newest",
        "opened",
        "pending",
        "ring",
        "subscription",
        "traces",
        "waiters",
    )

    def __init__(self, channel: Channel, *, durable: bool, epoch: str, now: float) -> None:
        self.channel = channel
        self.name = _INBOX if channel.namespace == USER_NAMESPACE else str(channel).encode()
        self.durable = durable
        self.epoch = epoch
        self.ring: Ring | None = None
        self.subscription: Subscribed | None = None  # by which it is heard; a mapping of all would take 74 bytes each
        self.newest = 0
        self.opened = False
        self.gone = False
        self.catching_up = False
        self.delivered = 0  # frames flushed to whoever was in the channel
        self.pending: list[bytes] = NO_FRAMES  # accepted since the last flush
        self.traces: tuple[bytes, ...] = ()  # of the sampled ones among them
        self._alone: Hashable | None = None  # the one writer, as in most inboxes: a mapping of one takes 230 bytes
        self._write: Write | None = None  # and how
        self._writers: dict[Hashable, Write] | None = None  # all of them, once there were two
        self.followers: dict[Hashable, Deliver] | None = None  # streams of events; most channels have none
        self.waiters: dict[Waiter, None] | None = None  # as with followers
        self.idle_since = now
        self._audience: tuple[Write, ...] | None = ()
        self._following: tuple[Deliver, ...] | None = ()

    def silence(self) -> None:
        """Hear no more."""
        if self.subscription is not None:
            self.subscription.detach()

    @property
    def audience(self) -> tuple[Write, ...]:
        """The writers at this moment: who joins later was given everything before in its subscription."""
        if self._audience is None:
            if self._write is not None:
                return (self._write,)  # not kept: 64 bytes of each inbox
            self._audience = tuple((self._writers or {}).values())
        return self._audience

    def join(self, member: Hashable, write: Write) -> bool:
        """Have publications written by ``write`` from now on; tell whether ``member`` got none before."""
        if self._writers is None:
            if self._alone is None or self._alone == member:
                joined = self._alone is None
                self._alone, self._write, self._audience = member, write, None
                return joined
            self._writers = dict(zip((self._alone,), self.audience, strict=True))
            self._alone = self._write = None
        joined = member not in self._writers
        self._writers[member] = write
        self._audience = None
        return joined

    def leave(self, member: Hashable) -> bool:
        """Tell whether publications were written to ``member``; none will be any more."""
        if self._alone is not None and self._alone == member:
            self._alone, self._write, self._audience = None, None, ()
            return True
        if self._writers is None or self._writers.pop(member, None) is None:
            return False
        self._writers = self._writers or None
        self._audience = None
        return True

    def follow(self, member: Hashable, deliver: Deliver) -> bool:
        """Have publications delivered to the stream ``member`` from now on; tell whether it got none before."""
        if self.followers is None:
            self.followers = {}
        joined = member not in self.followers
        self.followers[member] = deliver
        self._following = None
        return joined

    @property
    def following(self) -> tuple[Deliver, ...]:
        """The streams of events at this moment, as ``audience``."""
        if self._following is None:
            self._following = tuple((self.followers or {}).values())
        return self._following

    def serves(self, member: Hashable) -> bool:
        """Tell whether publications are delivered to ``member``."""
        return (
            (self._alone is not None and self._alone == member)
            or (self._writers is not None and member in self._writers)
            or (self.followers is not None and member in self.followers)
        )

    @property
    def members(self) -> list[Hashable]:
        """Those to whom publications are delivered; polls wait, and ask again."""
        alone = () if self._alone is None else (self._alone,)
        return [*alone, *(self._writers or ()), *(self.followers or ())]

    @property
    def idle(self) -> bool:
        """Whether nobody is in the channel."""
        return self._alone is None and self._writers is None and not self.waiters and self.followers is None

    def wait(self, waiter: Waiter) -> None:
        """Wake ``waiter`` with each flush."""
        if self.waiters is None:
            self.waiters = {}
        self.waiters[waiter] = None

    def unwait(self, waiter: Waiter, *, now: float) -> None:
        """Forget a waiter; nothing happens if it is not there."""
        waiters = self.waiters
        if waiters is not None and waiter in waiters:
            del waiters[waiter]
            if not waiters:
                self.waiters = None
                if self.idle:
                    self.idle_since = now

    def accept(self, publication: Stored) -> Verdict:
        """Take a publication from the bus or from a read of the stream; what is next goes to ``pending``."""
        offset, prev, body, trace = publication
        if offset > self.newest:
            self.newest = offset
        if self.ring is None:
            return Verdict.GAP
        verdict = self.ring.accept(publication)
        if verdict is _NEXT:
            frame = publication_frame(self.name, body, offset, prev, trace)
            if self.pending:
                self.pending.append(frame)
            else:
                self.pending = [frame]
            if trace:
                self.traces += (trace,)
        return verdict

    def accept_ephemeral(self, body: bytes, trace: bytes) -> None:
        """Take a publication of a channel without history."""
        frame = ephemeral_frame(self.name, body, trace)
        if self.pending:
            self.pending.append(frame)
        else:
            self.pending = [frame]
        if trace:
            self.traces += (trace,)

    def begin_anew(self, epoch: str, head: int) -> None:
        """Forget the history: everybody in the channel is told, in order with what they were sent before, to reload."""
        self.epoch = epoch
        self.ring = Ring(head)
        self.newest = head
        told = Opened(epoch, head, recovered=False)
        self.pending = [*self.pending, *subscribed_frames(self.name.decode(), told, None)]

    @property
    def behind(self) -> bool:
        """Whether publications are known of that the ring does not have."""
        return self.ring is not None and self.newest > self.ring.head

    def now(self) -> Opened:
        """Return the subscription of somebody who starts from now."""
        if self.ring is None:
            return Opened("", 0)
        return Opened(self.epoch, self.ring.head)


class Hub:
    """All channels of the pod."""

    def __init__(self) -> None:
        self.channels: dict[Channel, LiveChannel] = {}
        self.dirty: dict[LiveChannel, None] = {}  # with frames to flush, oldest first
        self.woken: dict[Waiter, None] = {}  # oldest first
        self.changes = 0  # of what a writer is to the kernel: times that one was lost, paused or resumed

    def detach(self, live: LiveChannel, member: Hashable, *, now: float) -> None:
        """Stop delivering to ``member``; nothing happens if it is not there."""
        if live.leave(member):
            self._note_idle(live, now)
        elif live.followers is not None and live.followers.pop(member, None) is not None:
            live.followers = live.followers or None
            live._following = None
            self._note_idle(live, now)

    def wake(self, live: LiveChannel, frames: Sequence[bytes]) -> None:
        """Have everybody answered who waits for ``live``, where ``frames`` were published."""
        waiters = live.waiters or {}
        if not live.durable:
            for waiter in waiters:
                waiter.hear(frames)
        self.woken.update(waiters)

    def next_woken(self, most: int) -> Iterable[Waiter]:
        """Take out and return those who were woken first, at most so many."""
        woken = self.woken
        if len(woken) <= most:
            self.woken = {}
            return woken
        first = tuple(islice(woken, most))
        self.woken = dict.fromkeys(islice(woken, most, None))
        return first

    def mark(self, live: LiveChannel) -> None:
        """Have ``live`` flushed with the next flush."""
        self.dirty[live] = None

    def reap(self, *, now: float) -> list[LiveChannel]:
        """Forget and return the channels that nobody has used for the linger time."""
        gone = [live for live in self.channels.values() if live.idle and now >= live.idle_since + LINGER_S]
        for live in gone:
            self.forget(live)
        return gone

    def forget(self, live: LiveChannel) -> None:
        """Hold ``live`` no more."""
        live.gone = True
        del self.channels[live.channel]

    @staticmethod
    def _note_idle(live: LiveChannel, now: float) -> None:
        if live.idle:
            live.idle_since = now
