"""The client's side of the conversation: what the edge says, what the application wants and what time it is go in.

``connecting`` decides when and over what to connect, ``readings`` follows the channels, ``requests`` waits for answers;
this module says who hears of what. Every method returns its effects in order; ``deadline`` says when to call ``tick``.
"""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import count

from whimbrel.client.core.backoff import retry_s
from whimbrel.client.core.connecting import Connecting
from whimbrel.client.core.credential import Credential
from whimbrel.client.core.effects import Changed, Effect, End, HangUp, Send
from whimbrel.client.core.link import Link, Loss, Stage, loss_of_disconnect
from whimbrel.client.core.polling import Pace, Poll, without
from whimbrel.client.core.readings import Readings
from whimbrel.client.core.requests import Request, Requests
from whimbrel.client.core.timing import Timing
from whimbrel.client.core.transports import Preference
from whimbrel.client.errors import Closed
from whimbrel.client.events import Acked, Joined, Left, State, StateChange
from whimbrel.protocol.bodies import PollReply
from whimbrel.protocol.codes import CloseCode
from whimbrel.protocol.frames import (
    AckedFrame,
    Connect,
    Connected,
    Disconnect,
    EdgeFrame,
    Error,
    Expiring,
    Join,
    Leave,
    Ok,
    Ping,
    Policy,
    Pong,
    PositionFrame,
    Publication,
    RefusedChannel,
    Resume,
    Subscribed,
    Unsubscribed,
    decode_edge_object,
)
from whimbrel.protocol.positions import Position


class Session:
    """One client. ``jitter`` yields random numbers in [0, 1); ``now`` is seconds of a monotonic clock throughout."""

    def __init__(
        self,
        *,
        timing: Timing,
        preference: Preference,
        renewable: bool,
        jitter: Callable[[], float],
        device: str | None = None,
        client: str | None = None,
    ) -> None:
        ids = count(1)
        self._new_id: Callable[[], int] = lambda: next(ids)
        self._device = device
        self._client = client
        retries = partial(retry_s, timing, jitter)
        self._credential = Credential(timing, renewable=renewable, retry_s=retries)
        self._connecting = Connecting(timing, preference, jitter)
        self._readings = Readings(self._new_id, retries, self._connecting.renew)
        self._requests = Requests()
        self._pace = Pace(timing, jitter)
        self.user: str | None = None

    @property
    def state(self) -> State:
        """Where the client is."""
        return self._connecting.state

    @property
    def deadline(self) -> float | None:
        """When to call ``tick`` next; None: only a frame or the application moves things on."""
        reading_at = self._readings.deadline if self._up else None
        times = [self._connecting.deadline, self._credential.refresh_at, reading_at]
        return min((time for time in times if time is not None), default=None)

    @property
    def bearer(self) -> str:
        """The token for HTTP requests; empty before there is one."""
        return self._credential.token or ""

    def advice_s(self) -> float:
        """Return how long a polling link waits before it asks for the policy again."""
        return self._pace.advice_s()

    @property
    def ended_by(self) -> tuple[int, str]:
        """Code and reason of a closed client."""
        return self._connecting.ended_by

    @property
    def _up(self) -> Link | None:
        link = self._connecting.link
        return link if link is not None and link.stage is Stage.UP else None

    # --- from the application

    def start(self, now: float) -> list[Effect]:
        """Begin to connect."""
        return self._dial(now)

    def subscribe(
        self, channel: str, *, position: Position | None, last: int | None, capacity: int, now: float
    ) -> list[Effect]:
        """Follow ``channel``. Raises Misuse and Closed."""
        self._refuse_when_closed()
        return self._readings.subscribe(channel, position, last, capacity, self._up, now)

    def unsubscribe(self, channel: str, now: float) -> list[Effect]:
        """Follow ``channel`` no longer."""
        return self._readings.unsubscribe(channel, self._up, now)

    def grant(self, capacity: int, now: float) -> list[Effect]:
        """Deliver also what the edge opens by itself."""
        self._refuse_when_closed()
        return self._readings.grant(capacity, self._up, now)

    def revoke(self) -> None:
        """Deliver no longer what the edge opens by itself."""
        self._readings.revoke()

    def taken(self, channel: str, taken: int, now: float) -> list[Effect]:
        """The application took ``taken`` events of ``channel``."""
        return self._readings.taken(channel, taken, self._up, now)

    def new_request_id(self) -> int:
        """Return the id for the next request."""
        return self._new_id()

    def request(self, request_id: int, request: Request) -> list[Effect]:
        """Send a request that bears ``request_id``, now or as soon as it can be. Raises Closed and RequestFailed."""
        self._refuse_when_closed()
        return self._requests.add(request_id, request, self._up)

    def forget(self, request_id: int) -> list[Effect]:
        """Nobody waits for this answer any more."""
        return self._requests.forget(request_id, self._up)

    def refresh(self) -> list[Effect]:
        """Renew the token; several wishes at once are one. Raises Closed."""
        self._refuse_when_closed()
        return self._credential.refresh()

    def token(self, token: str | None, now: float) -> list[Effect]:
        """Take the token that was asked for; None: there is no user any more."""
        if token is None:
            return self._end(CloseCode.UNAUTHORIZED, "the token provider has no token: nobody is signed in")
        up = self._up
        effects = self._credential.received(token, up, self._new_id)
        if self._connecting.wants_link:
            return [*effects, *self._connecting.dial(now)]
        if up is not None and up.transport == "sse":  # nothing goes upwards: another stream bears the new token
            return [*effects, *self._connecting.renew(now)]
        return effects

    def token_failed(self, reason: str, now: float) -> list[Effect]:
        """The application has no token now."""
        effects = self._credential.failed(reason, now)
        return [*effects, *self._connecting.undialled(reason, now)] if self._connecting.wants_link else effects

    def close(self) -> list[Effect]:
        """Close for good."""
        return self._end(1000, "closed by the application")

    # --- from the links

    def opened(self, link_id: int, now: float) -> list[Effect]:
        """A WebSocket is open, or a stream of events is to be opened: introduce ourselves."""
        link = self._connecting.greeting(link_id, now)
        if link is None:
            return [HangUp(link_id)]
        channels = link.asked = self._readings.for_connect()
        return [
            Send(
                link_id,
                Connect(
                    id=self._new_id(),
                    token=self._credential.token,
                    resume=self._credential.grant,
                    device=self._device,
                    client=self._client,
                    channels=channels,
                ),
            )
        ]

    def received(self, link_id: int, frames: Sequence[EdgeFrame], now: float) -> list[Effect]:
        """Take what the edge said in one message."""
        effects: list[Effect] = []
        if (link := self._connecting.of(link_id)) is not None:
            link.heard = now  # a heartbeat brings no frame where it is a comment
        for frame in frames:
            if (link := self._connecting.of(link_id)) is None:
                break
            effects += self._on(frame, link, now)
        return effects

    def lost(self, link_id: int, loss: Loss, now: float) -> list[Effect]:
        """A link ended, or did not open."""
        if self._connecting.link is None or self._connecting.link.id != link_id:
            return self._connecting.candidate_lost(link_id, loss, now)
        if loss.code == CloseCode.TOKEN_EXPIRED:
            self._credential.expire()
            if not self._credential.renewable:
                return self._end(loss.code, "the token expired, and the client was given no way to get another")
        grown_old = loss.code == CloseCode.UNAUTHORIZED and self._credential.refused()
        outcome = self._connecting.lost(loss, now, may_return=grown_old or not loss.final)
        if outcome is None:
            return self._end(loss.code, loss.reason)
        self._readings.lost()
        return [*outcome, *self._credential.lost()]

    def poll(self, link_id: int, now: float) -> Poll | None:
        """Return what to ask on a polling link; None where the link is not wanted any more."""
        link = self._connecting.of(link_id)
        if link is None:
            return None
        return self._pace.next(self._readings.for_poll(), up=link.stage is Stage.UP, now=now)

    def polled(self, link_id: int, asked: Poll, reply: PollReply, now: float) -> list[Effect]:
        """Take the answer to ``asked``."""
        link = self._connecting.of(link_id)
        if link is None:
            return []
        link.heard = now
        self._credential.accepted()
        effects = [] if link.stage is Stage.UP else self._established(link, now)
        self._pace.answered(asked, reply, now)
        outdated = self._readings.outdated(asked.channels)
        reply = without(outdated, reply)
        frames = [frame for fields in reply.frames for frame in decode_edge_object(fields)]
        told = outdated | {frame.channel for frame in frames if isinstance(frame, Subscribed)}
        for channel, position in asked.channels.items():
            if position is not None and channel not in told:
                effects += self._readings.complete(channel, link, now)
        effects += self.received(link_id, frames, now)
        if self._connecting.of(link_id) is not None:
            effects += self._readings.settled(reply.channels)
        return effects

    # --- time

    def tick(self, now: float) -> list[Effect]:
        """Do what is due at ``now``."""
        effects: list[Effect] = []
        if self._credential.refresh_at is not None and self._credential.refresh_at <= now:
            effects += self._credential.refresh()
        silent = self._connecting.silent(now)
        if silent is not None:
            link, loss = silent
            effects += [HangUp(link.id), *self.lost(link.id, loss, now)]
        if self._connecting.dial_is_due(now):
            effects += self._dial(now)
        effects += [*self._connecting.move(now), *self._connecting.probe(now)]
        up = self._up
        return effects if up is None else [*effects, *self._readings.due(up, now)]

    # --- within

    def _on(self, frame: EdgeFrame, link: Link, now: float) -> list[Effect]:
        match frame:
            case Publication() | PositionFrame():
                return self._readings.publication(frame, link, now)
            case Connected():
                return self._connected(frame, link, now)
            case Subscribed():
                return self._readings.announced(frame, link, now)
            case Unsubscribed():
                return self._readings.unsubscribed(frame)
            case Ok() | Error():
                return self._replied(frame, link, now)
            case Ping():
                return [Send(link.id, Pong())]
            case Pong():
                return []
            case Resume():
                self._credential.grant = frame.grant
                return []
            case Expiring():
                return self._credential.refresh() if self._credential.renewable else []
            case Policy():
                self._pace.advised(frame)
                return self._connecting.advised(frame.transports, now)
            case Disconnect(code=CloseCode.DRAINING) if frame.after_ms > 0 and link.stage is Stage.UP:
                self._connecting.leave(link, frame.after_ms / 1000, now)
                return []
            case Disconnect():
                return [HangUp(link.id), *self.lost(link.id, loss_of_disconnect(frame), now)]
            case AckedFrame():
                return self._readings.remark(frame.channel, Acked(frame.channel, frame.offset))
            case Join():
                return self._readings.remark(frame.channel, Joined(frame.channel, frame.user, frame.info))
            case Leave():
                return self._readings.remark(frame.channel, Left(frame.channel, frame.user, frame.info))

    def _connected(self, frame: Connected, link: Link, now: float) -> list[Effect]:
        if link.stage is Stage.UP:
            return []
        self.user = frame.user
        self._credential.connected(frame.expires_in, frame.resume, now)
        link.silence_s = frame.ping + frame.pong
        effects = self._established(link, now)
        effects += self._readings.connected(frame.channels, link, now)
        return [*effects, *self._requests.again(link)]

    def _established(self, link: Link, now: float) -> list[Effect]:
        self._credential.accepted()
        effects = self._connecting.established(link, now)
        effects += self._readings.moved(link, now)
        return [*effects, *self._requests.again(link)] if link.transport == "poll" else effects  # else: `_connected`

    def _replied(self, frame: Ok | Error, link: Link, now: float) -> list[Effect]:
        if self._credential.awaits(frame):
            return self._credential.refreshed(frame, now)
        reading = self._readings.asked_by(frame.id) if frame.id else None
        if reading is None:
            return self._requests.answered(frame, self._up)
        if isinstance(frame, Ok):
            return self._readings.remembered(reading, frame, link, now)
        retry_s = None if frame.retry_ms is None else frame.retry_ms / 1000
        why = RefusedChannel(code=frame.code, slug=frame.slug, message=frame.message)
        return self._readings.refused(reading, why, retry_s, link, now)

    def _dial(self, now: float) -> list[Effect]:
        effects = self._connecting.begin()
        if self._credential.usable(now):
            return [*effects, *self._connecting.dial(now)]
        return [*effects, *self._credential.ask()]

    def _end(self, code: int, reason: str) -> list[Effect]:
        if self.state is State.CLOSED:
            return []
        why = None if code == 1000 else Closed(code, reason)
        hung_up = self._connecting.end(code, reason)
        ended = [End(reading.channel, why) for reading in self._readings]
        return [*hung_up, *ended, Changed(StateChange(State.CLOSED, code, reason))]

    def _refuse_when_closed(self) -> None:
        if self.state is State.CLOSED:
            raise Closed(*self.ended_by)
