"""The conversation with one client, over whatever transport: frames in, effects out.

    AWAITING_CONNECT ─connect→ AUTHENTICATING ─identified→ OPENING ─opened→ OPEN ─→ CLOSED

Methods take ``now`` (seconds of a monotonic clock) or ``wall`` (Unix seconds) where time matters, and return effects
in order. ``deadline`` says when to call ``tick`` next. A session does not know what carries it.
"""

from collections.abc import Mapping, Sequence
from typing import Final
from zlib import crc32

from whimbrel.edge.core.effects import (
    Close,
    Effect,
    Execute,
    Identified,
    Identify,
    Rejected,
    Send,
    Wanted,
)
from whimbrel.edge.core.identity import Identity
from whimbrel.edge.core.liveness import Due, Liveness, Terms
from whimbrel.edge.core.quotas import BURST_S, Quotas
from whimbrel.edge.core.rates import pay
from whimbrel.edge.core.replies import (
    connected_frames,
    disconnect_frame,
    error_frame,
    subscribed_frames,
)
from whimbrel.edge.core.rights import action_of, permit, still_permitted
from whimbrel.edge.core.states import Cause, State, step
from whimbrel.edge.core.subscription import NotOpened, Opened
from whimbrel.edge.core.subscriptions import Subscriptions
from whimbrel.edge.core.tally import Tally
from whimbrel.protocol.channels import INBOX, Channel, group_channel, inbox_of
from whimbrel.protocol.codes import CloseCode, ErrorCode
from whimbrel.protocol.errors import FrameTooLarge, MalformedFrame, Refused
from whimbrel.protocol.frames import (
    Ack,
    AckedFrame,
    ClientFrame,
    Connect,
    Expiring,
    History,
    Ok,
    Ping,
    Pong,
    Presence,
    Publish,
    Refresh,
    Resume,
    Subscribe,
    Unsubscribe,
    decode,
    encode,
)
from whimbrel.protocol.namespaces import Namespace
from whimbrel.protocol.positions import Position

PING: Final = encode(Ping())
PONG: Final = encode(Pong())
NOTHING_OWED: Final = 0.0  # one object for all idle sessions
LEAVING: Final = "the pod is leaving"
MAX_IN_FLIGHT: Final = 64  # requests of one session that wait for the bus; an honest page has a handful
MAX_WAITING: Final = 64  # frames sent behind `connect` before `connected` came back
RETIRE_MS: Final = 1000  # over which those who grew old together come back
FLOOD_BURSTS: Final = 2.0  # who is that far ahead of the rate has gone on in spite of 109, and is closed


class Session:
    """One client's authenticated conversation.

    All sessions share ``rules``, the pod's live table of namespaces, and ``quotas``, what each user may ask of it.
    """

    __slots__ = (
        "_connect",
        "_in_flight",
        "_paid",
        "_waiting",
        "closed_with",
        "id",
        "identity",
        "liveness",
        "presented",
        "quotas",
        "rules",
        "state",
        "subscriptions",
        "tally",
        "terms",
    )

    def __init__(
        self, session_id: str, terms: Terms, rules: Mapping[str, Namespace], quotas: Quotas, *, now: float
    ) -> None:
        self.id = session_id
        self.terms = terms
        self.rules = rules
        self.quotas = quotas
        self.state = State.AWAITING_CONNECT
        self.identity: Identity | None = None
        self.presented: Identified | None = None  # who the HTTP request said it is, by header or ticket
        self.subscriptions = Subscriptions(terms.channels)
        self.liveness = Liveness(now=now)
        self.closed_with: CloseCode | None = None
        self.tally = Tally()
        self._connect: Connect | None = None  # while it is being answered
        self._waiting: list[ClientFrame | Refused] | None = None
        self._in_flight = 0
        self._paid = NOTHING_OWED  # when all bytes and frames that came are paid for, by the rates of the terms

    # --- what the client sends

    def receive(self, message: bytes, *, now: float, wall: float) -> list[Effect]:
        """Take one message of the client; any message counts as life."""
        self.liveness.heard(now=now)
        if self.state is State.CLOSED:
            return []
        try:
            frames = decode(message, limit=self.terms.frame_bytes)
        except FrameTooLarge as error:
            return self.close(CloseCode.FRAME_TOO_LARGE, str(error))
        except MalformedFrame as error:
            return self.close(CloseCode.PROTOCOL_ERROR, str(error))
        self.tally.received += len(frames)
        owed = self._pay(len(frames) / self.terms.frames_per_s, now)
        if owed > BURST_S:
            return self._too_fast(frames, owed)
        return self._take(frames, now=now, wall=wall)

    def alive(self, *, now: float) -> list[Effect]:
        """Note a sign of life of the client, a frame of the transport itself."""
        self.liveness.heard(now=now)
        owed = self._pay(1.0 / self.terms.frames_per_s, now)
        return self._too_fast((), owed) if owed > BURST_S else []

    def received(self, size: int, *, now: float) -> list[Effect]:
        """Count ``size`` bytes that the client sent, before it is known what they are."""
        owed = self._pay(size / self.terms.bytes_per_s, now)
        return self._too_fast((), owed) if owed > BURST_S else []

    def _pay(self, seconds: float, now: float) -> float:
        """Return how many seconds the client is ahead of its rates; frames and bytes draw on the same time."""
        self._paid = pay(self._paid, seconds, now=now)
        return self._paid - now

    def _too_fast(self, frames: Sequence[ClientFrame | Refused], owed: float) -> list[Effect]:
        why = f"at most {self.terms.frames_per_s:g} frames or {self.terms.bytes_per_s:g} bytes per second"
        if owed > FLOOD_BURSTS * BURST_S:
            return self.close(CloseCode.RATE_LIMITED, why, after_ms=int(owed * 1000))
        refusal = Refused(ErrorCode.RATE_LIMITED, why, retry_ms=int((owed - BURST_S) * 1000) + 1)
        asked = [frame for frame in frames if not isinstance(frame, Ping | Pong)]
        self.tally.rate_limited += len(asked)
        return [Send(error_frame(refusal, _id_of(frame))) for frame in asked]

    def _take(self, frames: Sequence[ClientFrame | Refused], *, now: float, wall: float) -> list[Effect]:
        effects: list[Effect] = []
        for frame in frames:
            if self.state is State.CLOSED:
                break
            try:
                effects += self._on(frame, now=now, wall=wall)
            except Refused as refusal:
                self.tally.rate_limited += refusal.code is ErrorCode.RATE_LIMITED
                effects.append(Send(error_frame(refusal, _id_of(frame))))
        return effects

    def _on(self, frame: ClientFrame | Refused, *, now: float, wall: float) -> list[Effect]:
        match frame:
            case Ping():
                return [Send(PONG)]
            case Pong():
                return []
            case Connect():
                return self._on_connect(frame, wall=wall)
            case Refused() if self.state in (State.AWAITING_CONNECT, State.OPEN):
                raise frame
            case _ if self.state is State.AWAITING_CONNECT:
                raise Refused(ErrorCode.UNAUTHORIZED, "send `connect` first")
            case _ if self.state is not State.OPEN:
                return self._hold(frame)
            case _:
                return self._on_asked(frame, now=now)

    def _on_asked(self, frame: ClientFrame | Refused, *, now: float) -> list[Effect]:
        self.quotas.request(self._known.user, now=now)
        match frame:
            case Subscribe():
                return self._on_subscribe(frame)
            case Unsubscribe():
                return self._on_unsubscribe(frame)
            case Refresh():
                self._begin_request()
                return [Identify(frame.token, None, refresh_id=frame.id)]
            case Publish() | Ack() | History() | Presence():
                return self._on_request(frame, now=now)
        raise AssertionError(frame)

    def _on_connect(self, frame: Connect, *, wall: float) -> list[Effect]:
        if self.state is not State.AWAITING_CONNECT:
            raise Refused(ErrorCode.BAD_REQUEST, "the session is connected already; `refresh` renews the token")
        self.state = step(self.state, Cause.CONNECT)
        self._connect = frame
        if self.presented is not None and frame.token is None:
            return self.identified(self.presented, wall=wall)
        if frame.token is None and frame.resume is None:
            return self.close(CloseCode.UNAUTHORIZED, "`connect` carries no token; fetch one and reconnect")
        return [Identify(frame.token, frame.resume)]

    def begin(self, frame: Connect, *, wall: float) -> list[Effect]:
        """Take the `connect` of an HTTP request that said who it is (``presented``)."""
        return self._on_connect(frame.model_copy(update={"token": None, "resume": None}), wall=wall)

    def _hold(self, frame: ClientFrame | Refused) -> list[Effect]:
        if self._waiting is None:
            self._waiting = []
        if len(self._waiting) >= MAX_WAITING:
            return self.close(CloseCode.RATE_LIMITED, f"over {MAX_WAITING} frames before `connected`; wait for it")
        self._waiting.append(frame)
        return []

    def _on_subscribe(self, frame: Subscribe) -> list[Effect]:
        held = frame.channel in self.subscriptions.channels
        # A client that found a gap subscribes again from its position (docs/websocket-api.md); else it is a mistake.
        if held and frame.position is None:
            raise Refused(ErrorCode.ALREADY_SUBSCRIBED, f"{frame.channel} is open already")
        if not held and self.subscriptions.full:
            raise Refused(ErrorCode.LIMIT_EXCEEDED, self.subscriptions.no_room.message)
        channel = permit(self._known, "subscribe", frame.channel, self.rules)
        before = self.subscriptions.close(frame.channel) or []
        wanted = self._wanted(frame.channel, channel, frame.position, frame.last)
        return [*before, self.subscriptions.open([wanted], frame.id)]

    def _on_unsubscribe(self, frame: Unsubscribe) -> list[Effect]:
        if frame.channel == INBOX:
            raise Refused(ErrorCode.BAD_REQUEST, "the inbox is always subscribed")
        effects = self.subscriptions.close(frame.channel)
        if effects is None:
            raise Refused(ErrorCode.NOT_SUBSCRIBED, f"{frame.channel} is not open")
        return [*effects, Send(encode(Ok(id=frame.id)))]

    def _on_request(self, frame: Publish | Ack | History | Presence, *, now: float) -> list[Effect]:
        if isinstance(frame, Publish):
            self.quotas.publish(self._known.user, now=now)
        subscribed = frame.channel in self.subscriptions.channels
        channel = permit(self._known, action_of(frame), frame.channel, self.rules, subscribed)
        self._begin_request()
        return [Execute(frame, channel)]

    def _begin_request(self) -> None:
        if self._in_flight >= MAX_IN_FLIGHT:
            raise Refused(ErrorCode.RATE_LIMITED, f"over {MAX_IN_FLIGHT} requests under way", retry_ms=1000)
        self._in_flight += 1

    # --- what the edge learns

    def identified(self, outcome: Identified | Rejected, *, wall: float) -> list[Effect]:
        """Go on with ``connect``: auth and router have answered."""
        if self.state is not State.AUTHENTICATING:
            return []
        if isinstance(outcome, Identified) and outcome.identity.expires <= wall:
            outcome = Rejected(CloseCode.TOKEN_EXPIRED, ErrorCode.TOKEN_EXPIRED, "the token has expired")
        if isinstance(outcome, Rejected):
            return self.close(outcome.close, outcome.reason, after_ms=outcome.after_ms)
        self.state = step(self.state, Cause.IDENTIFIED)
        self.presented = outcome  # its grant goes out with `connected`
        self.identity = identity = outcome.identity
        assert self._connect is not None
        asked = {INBOX: None, **{str(group_channel(group)): None for group in sorted(identity.groups)}}
        wanted: list[Wanted] = []
        for name, position in {**asked, **self._connect.channels}.items():
            if len(wanted) >= self.terms.channels:
                break
            try:
                channel = inbox_of(identity.user) if name == INBOX else permit(identity, "subscribe", name, self.rules)
            except Refused:
                continue  # answered in ``opened``
            wanted.append(self._wanted(name, channel, position, None))
        return [self.subscriptions.open(wanted, 0)]

    def opened(
        self, results: Mapping[str, Opened | NotOpened], request: int | None, *, now: float, wall: float
    ) -> list[Effect]:
        """Tell the client that channels are open (attached in this very step), or why not.

        ``results`` holds those that are still awaited; ``request`` is that of ``Open``.
        """
        if self.state is State.CLOSED:
            return []
        for name, result in results.items():
            self.subscriptions.settle(name, opened=isinstance(result, Opened))
            if isinstance(result, Opened):
                self.tally.recovered += result.recovered is True
                self.tally.reloads += result.recovered is False
        if self.state is State.OPENING and request == 0:
            return self._connected(results, now=now, wall=wall)
        return [
            Send(message) for name, result in results.items() for message in subscribed_frames(name, result, request)
        ]

    def _connected(self, results: Mapping[str, Opened | NotOpened], *, now: float, wall: float) -> list[Effect]:
        self.state = step(self.state, Cause.OPENED)
        connect, identified = self._connect, self.presented
        assert connect is not None
        assert identified is not None
        every = dict(results)
        for name in connect.channels:
            if name not in every:
                every[name] = self._refused(name)
        waiting = self._waiting or []
        self._connect = self.presented = self._waiting = None
        messages = connected_frames(connect.id, self.id, identified, self.terms, every, wall=wall)
        effects: list[Effect] = [Send(message) for message in messages]
        groups = (group for group in self._known.groups if str(group_channel(group)) not in every)
        effects += self.subscriptions.open_groups(groups)  # joined meanwhile, or too many
        return effects + self._take(waiting, now=now, wall=wall)

    def _refused(self, name: str) -> NotOpened:
        try:
            permit(self._known, "subscribe", name, self.rules)
        except Refused as refusal:
            return NotOpened(refusal.code, refusal.message)
        if self.subscriptions.full:
            return self.subscriptions.no_room
        return NotOpened(ErrorCode.UNAVAILABLE, "the channel's namespace changed meanwhile; subscribe again")

    def refreshed(self, outcome: Identified | Rejected, request: int, *, wall: float) -> list[Effect]:
        """Answer ``refresh``: a good token of the same user renews the session in place."""
        self.finished()
        if self.state is not State.OPEN:
            return []
        if isinstance(outcome, Identified) and outcome.identity.user != self._known.user:
            outcome = Rejected(CloseCode.UNAUTHORIZED, ErrorCode.UNAUTHORIZED, "the token is another user's")
        if isinstance(outcome, Rejected):
            return [Send(error_frame(Refused(outcome.error, outcome.reason, frame_id=request)))]
        self.liveness.renewed()
        answer = Send(encode(Ok(id=request, expires_in=max(0, int(outcome.identity.expires - wall)))))
        return [answer, *self.rights_changed(outcome)]

    def rights_changed(self, outcome: Identified) -> list[Effect]:
        """Follow a change of the user's rights: close what is no longer allowed, open the new groups' channels."""
        if self.state is not State.OPEN:
            if self.presented is not None:  # `connected` is written by what is known then
                self.presented = outcome
            if self.state is State.OPENING:
                self.identity = outcome.identity
            return self.rules_changed()
        before, self.identity = self._known.groups, outcome.identity
        effects = self._drop_forbidden() + self.subscriptions.open_groups(outcome.identity.groups - before)
        if outcome.grant is not None:
            effects.append(Send(encode(Resume(grant=outcome.grant))))
        return effects

    def rules_changed(self) -> list[Effect]:
        """Follow a change of the namespaces."""
        return self._drop_forbidden() if self.state in (State.OPENING, State.OPEN) else []

    def _drop_forbidden(self) -> list[Effect]:
        return self.subscriptions.drop(lambda channel: still_permitted(self._known, channel, self.rules))

    def advised(self, policy: bytes) -> list[Effect]:
        """Tell the client which transports to use now, by a ``policy`` frame that is the same for many."""
        return [Send(policy)] if self.state is State.OPEN else []

    def acked(self, channel: Channel, offset: int, origin: str) -> list[Effect]:
        """Tell the client that another device of the user acknowledged."""
        if self.state is not State.OPEN or origin == self.id:
            return []
        return [
            Send(encode(AckedFrame(channel=name, offset=offset)))
            for name, own in self.subscriptions.channels.items()
            if own == channel
        ]

    def finished(self) -> None:
        """An executed request was answered."""
        self._in_flight -= 1

    # --- time, and the end

    def deadline(self, *, now: float, wall: float) -> float:
        """Return when ``tick`` wants to be called."""
        if self.state is not State.OPEN:
            return self.liveness.overdue(self.terms)
        due = self.liveness.deadline(self.terms, expires=self._known.expires, now=now, wall=wall)
        return min(due, self.liveness.aged(self.terms, share=self._share))

    def tick(self, *, now: float, wall: float) -> list[Effect]:
        """Do what time asks for: the connect timeout, heartbeats, the token's end, and the connection's."""
        if self.state is State.CLOSED:
            return []
        if self.state is not State.OPEN:
            return self._overdue() if self.liveness.late(self.terms, now=now) else []
        if now >= self.liveness.aged(self.terms, share=self._share):
            why = f"a connection lives {self.terms.max_age:g} s at most"
            return self.close(CloseCode.CONNECTION_AGE, why, after_ms=int(self._share * RETIRE_MS))
        expires = self._known.expires
        effects: list[Effect] = []
        for due in self.liveness.due(self.terms, expires=expires, now=now, wall=wall):
            match due:
                case Due.PING:
                    effects.append(Send(PING))
                    if self._paid <= now:
                        self._paid = NOTHING_OWED
                case Due.NOTICE:
                    effects.append(Send(encode(Expiring(in_s=max(0, int(expires - wall))))))
                case Due.SILENT:
                    why = f"no answer to a ping within {self.terms.pong:g} s"
                    effects += self.close(CloseCode.NO_PONG, why)
                case Due.EXPIRED:
                    effects += self.close(CloseCode.TOKEN_EXPIRED, "the token expired and was not refreshed")
        return effects

    @property
    def _share(self) -> float:
        # Its place among all sessions, from 0 to 1: drawn with its id, so that nothing more has to be kept.
        return crc32(self.id.encode()) / 2**32

    def _overdue(self) -> list[Effect]:
        if self.state is State.AWAITING_CONNECT:
            return self.close(CloseCode.CONNECT_TIMEOUT, "no `connect` frame came in time")
        return self.close(CloseCode.BUS_UNAVAILABLE, "the services behind the edge did not answer in time")

    def close(self, code: CloseCode, reason: str, *, after_ms: int = 0) -> list[Effect]:
        """Say `disconnect` and close; nothing is done where the session is closed already."""
        if self.state is State.CLOSED:
            return []
        self.state = step(self.state, Cause.CLOSE)
        self.closed_with = code
        self.tally.reason = reason
        self.tally.channels = len(self.subscriptions.channels)
        return [Send(disconnect_frame(code, reason, after_ms)), *self.subscriptions.close_all(), Close(code)]

    def leaving(self, after_ms: int) -> list[Effect]:
        """Tell the client to move elsewhere in ``after_ms``; until it has, or ``close``, everything goes on."""
        if self.state is not State.OPEN:
            return []
        return [Send(disconnect_frame(CloseCode.DRAINING, LEAVING, after_ms))]

    def lost(self) -> list[Effect]:
        """The transport is gone."""
        if self.state is State.CLOSED:
            return []
        self.state = step(self.state, Cause.LOST)
        self.tally.channels = len(self.subscriptions.channels)
        return self.subscriptions.close_all()

    @property
    def known(self) -> Identity | None:
        """Who the client is, or said to be in its HTTP request; None where nobody knows yet."""
        if self.identity is None and self.presented is not None:
            return self.presented.identity
        return self.identity

    @property
    def _known(self) -> Identity:
        assert self.identity is not None, "the state table admits nobody unknown here"
        return self.identity

    @staticmethod
    def _wanted(name: str, channel: Channel, position: Position | None, last: int | None) -> Wanted:
        from_mark = name == INBOX and position is None and last is None
        return Wanted(name, channel, position, last, from_mark)


def _id_of(frame: ClientFrame | Refused) -> int | None:
    return frame.frame_id if isinstance(frame, Refused) else getattr(frame, "id", None)
