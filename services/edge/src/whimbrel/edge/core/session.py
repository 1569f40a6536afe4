"""The conversation with one client, over whatever transport: frames in, effects out.

    AWAITING_CONNECT ─connect→ AUTHENTICATING ─identified→ OPENING ─opened→ OPEN ─→ CLOSED

Methods take ``now`` (seconds of a monotonic clock) or ``wall`` (Unix seconds) where time matters, and return effects
in order. ``deadline`` says when to call ``tick`` next. A session does not know what carries it.
"""

from collections.abc import Mapping, Sequence
from typing import Final
from zlib import crc32

from whimbrel.edge.core.effects import Close, Effect, Execute, Identified, Identify, Rejected, Request, Send
from whimbrel.edge.core.entry import MAX_WAITING, Entry
from whimbrel.edge.core.identity import Identity
from whimbrel.edge.core.intake import NOTHING_OWED, Intake
from whimbrel.edge.core.liveness import ONLY_PING, Due, Terms
from whimbrel.edge.core.quotas import Quotas
from whimbrel.edge.core.replies import connected_frames, disconnect_frame, error_frame, subscribed_frames
from whimbrel.edge.core.rights import action_of, permit, still_permitted
from whimbrel.edge.core.states import Cause, State, step
from whimbrel.edge.core.subscription import NotOpened, Opened
from whimbrel.edge.core.subscriptions import Subscriptions
from whimbrel.protocol.channels import Channel, group_channel
from whimbrel.protocol.codes import CloseCode, ErrorCode
from whimbrel.protocol.errors import Refused
from whimbrel.protocol.frames import (
    Ack,
    AckedFrame,
    ClientFrame,
    Connect,
    Expiring,
    History,
    Inbox,
    Ok,
    Ping,
    Pong,
    Presence,
    Publish,
    Refresh,
    Resume,
    Subscribe,
    Unsubscribe,
    encode,
)
from whimbrel.protocol.namespaces import Namespace

PING: Final = encode(Ping())
PONG: Final = encode(Pong())
_SEND_PING: Final = (Send(PING),)  # one object for all clients
LEAVING: Final = "the pod is leaving"
MAX_IN_FLIGHT: Final = 64  # requests of one session that wait for the bus; an honest page has a handful
RETIRE_MS: Final = 1000  # over which those who grew old together come back


class Session(Intake):
    """One client's authenticated conversation.

    All sessions share ``rules``, the pod's live table of namespaces, and ``quotas``, what each user may ask of it.
    """

    __slots__ = (
        "_entry",
        "_in_flight",
        "closed_with",
        "id",
        "identity",
        "quotas",
        "rules",
        "subscriptions",
    )

    def __init__(
        self, session_id: str, terms: Terms, rules: Mapping[str, Namespace], quotas: Quotas, *, now: float
    ) -> None:
        super().__init__(terms, now=now)
        self.id = session_id
        self.rules = rules
        self.quotas = quotas
        self.identity: Identity | None = None
        self.subscriptions = Subscriptions()
        self.closed_with: CloseCode | None = None
        self._entry: Entry | None = Entry()  # until it is open
        self._in_flight = 0

    def present(self, identified: Identified) -> None:
        """Note who the HTTP request said the client is, by header or ticket."""
        assert self._entry is not None
        self._entry.presented = identified

    # --- what the client sends

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
                return self.subscriptions.subscribe(frame, self._known, self.rules, self.terms.channels)
            case Unsubscribe():
                return self.subscriptions.unsubscribe(frame)
            case Refresh():
                self._begin_request()
                return [Identify(frame.token, None, refresh_id=frame.id)]
            case Publish() | Ack() | History() | Inbox() | Presence():
                return self._on_request(frame, now=now)
        raise AssertionError(frame)

    def _on_connect(self, frame: Connect, *, wall: float) -> list[Effect]:
        entry = self._entry
        if entry is None or self.state is not State.AWAITING_CONNECT:
            raise Refused(ErrorCode.BAD_REQUEST, "the session is connected already; `refresh` renews the token")
        self.state = step(self.state, Cause.CONNECT)
        entry.connect = frame
        if entry.presented is not None and frame.token is None:
            return self.identified(entry.presented, wall=wall)
        if frame.token is None and frame.resume is None:
            return self.close(CloseCode.UNAUTHORIZED, "`connect` carries no token; fetch one and reconnect")
        return [Identify(frame.token, frame.resume)]

    def begin(self, frame: Connect, *, wall: float) -> list[Effect]:
        """Take the `connect` of an HTTP request that said who it is (``presented``)."""
        return self._on_connect(frame.model_copy(update={"token": None, "resume": None}), wall=wall)

    def _hold(self, frame: ClientFrame | Refused) -> list[Effect]:
        assert self._entry is not None, "the session is neither open nor closed"
        if self._entry.hold(frame):
            return []
        return self.close(CloseCode.RATE_LIMITED, f"over {MAX_WAITING} frames before `connected`; wait for it")

    def _on_request(self, frame: Request, *, now: float) -> list[Effect]:
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
        assert self._entry is not None
        self._entry.presented = outcome
        self.identity = outcome.identity
        wanted = self._entry.wanted(outcome.identity, self.rules, self.terms.channels)
        return [self.subscriptions.open(wanted, 0)]

    def opened(
        self, results: Mapping[str, Opened | NotOpened], request: int | None, *, now: float, wall: float
    ) -> list[Effect]:
        """Tell the client that channels are open (attached in this very step), or why not.

        ``results`` holds those that are still awaited; ``request`` is that of ``Open``.
        """
        if self.state is State.CLOSED:
            return []
        self.subscriptions.settle(results)
        for result in results.values():
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
        entry, self._entry = self._entry, None
        assert entry is not None
        assert entry.connect is not None
        assert entry.presented is not None
        every = entry.answers(results, self._known, self.rules, self.subscriptions.no_room(self.terms.channels))
        messages = connected_frames(entry.connect.id, self.id, entry.presented, self.terms, every, wall=wall)
        effects: list[Effect] = [Send(message) for message in messages]
        if self._known.groups:
            groups = (group for group in self._known.groups if str(group_channel(group)) not in every)
            effects += self.subscriptions.open_groups(groups, self.terms.channels)  # joined meanwhile, or too many
        return effects + self._take(entry.waiting, now=now, wall=wall) if entry.waiting else effects

    def refreshed(self, outcome: Identified | Rejected, request: int, *, wall: float) -> list[Effect]:
        """Answer ``refresh``: a good token of the same user renews the session in place."""
        self.finished()
        if self.state is not State.OPEN:
            return []
        if isinstance(outcome, Identified) and outcome.identity.user != self._known.user:
            outcome = Rejected(CloseCode.UNAUTHORIZED, ErrorCode.UNAUTHORIZED, "the token is another user's")
        if isinstance(outcome, Rejected):
            return [Send(error_frame(Refused(outcome.error, outcome.reason, frame_id=request)))]
        self.renewed()
        answer = Send(encode(Ok(id=request, expires_in=max(0, int(outcome.identity.expires - wall)))))
        return [answer, *self.rights_changed(outcome)]

    def rights_changed(self, outcome: Identified) -> list[Effect]:
        """Follow a change of the user's rights: close what is no longer allowed, open the new groups' channels."""
        if self.state is not State.OPEN:
            if self._entry is not None and self._entry.presented is not None:
                self._entry.presented = outcome  # `connected` is written by what is known then
            if self.state is State.OPENING:
                self.identity = outcome.identity
            return self.rules_changed()
        before, self.identity = self._known.groups, outcome.identity
        effects = self._drop_forbidden() + self.subscriptions.open_groups(
            outcome.identity.groups - before, self.terms.channels
        )
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
        if self.state is not State.OPEN or self.identity is None:
            return self.overdue(self.terms)
        due = self.next_due(self.terms, expires=self.identity.expires, now=now, wall=wall)
        return min(due, self._ends) if self.aged(self.terms, share=1.0) < due else due

    def tick(self, *, now: float, wall: float) -> Sequence[Effect]:
        """Do what time asks for: the connect timeout, heartbeats, the token's end, and the connection's."""
        if self.state is not State.OPEN:
            overdue = self.state is not State.CLOSED and self.late(self.terms, now=now)
            return self._overdue() if overdue else ()
        if now >= self.aged(self.terms, share=1.0) and now >= self._ends:
            why = f"a connection lives {self.terms.max_age:g} s at most"
            return self.close(CloseCode.CONNECTION_AGE, why, after_ms=int(self._share * RETIRE_MS))
        expires = self._known.expires
        every = self.due(self.terms, expires=expires, now=now, wall=wall)
        if Due.PING in every and self._paid <= now:
            self._paid = NOTHING_OWED
        if every is ONLY_PING:
            return _SEND_PING
        effects: list[Effect] = []
        for due in every:
            match due:
                case Due.PING:
                    effects += _SEND_PING
                case Due.NOTICE:
                    effects.append(Send(encode(Expiring(in_s=max(0, int(expires - wall))))))
                case Due.SILENT:
                    why = f"no answer to a ping within {self.terms.pong:g} s"
                    effects += self.close(CloseCode.NO_PONG, why)
                case Due.EXPIRED:
                    effects += self.close(CloseCode.TOKEN_EXPIRED, "the token expired and was not refreshed")
        return effects

    @property
    def _ends(self) -> float:
        return self.aged(self.terms, share=self._share)

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
        if self.identity is None and self._entry is not None and self._entry.presented is not None:
            return self._entry.presented.identity
        return self.identity

    @property
    def _known(self) -> Identity:
        assert self.identity is not None, "the state table admits nobody unknown here"
        return self.identity
