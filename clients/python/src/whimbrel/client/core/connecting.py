"""When to connect, over what, and when to give a link up.

At most two links exist: ``link`` carries the session; ``candidate`` is another transport on trial, or the way to
another edge where this one leaves. It takes over once it is up, so that the change costs no gap in time (make before
break).
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from whimbrel.client.core.backoff import Backoff
from whimbrel.client.core.effects import Changed, Dial, Effect, HangUp
from whimbrel.client.core.link import BROKEN, TOKEN_UNAVAILABLE, Link, Loss, Stage
from whimbrel.client.core.states import Cause, step
from whimbrel.client.core.timing import Timing
from whimbrel.client.core.transports import (
    Preference,
    advised,
    first_outlook,
    never_opened,
    opened,
    without,
)
from whimbrel.client.events import State, StateChange, Transport
from whimbrel.protocol.codes import CloseCode

SPREAD: Final = 0.25  # onto the time that a proxy names: it tells everybody the same, and none of them may be early


class Connecting:
    """The connection side of a session. ``jitter`` yields random numbers in [0, 1)."""

    def __init__(self, timing: Timing, preference: Preference, jitter: Callable[[], float]) -> None:
        self._timing = timing
        self._preference = preference
        self._jitter = jitter
        self._backoff = Backoff(timing)
        self._outlook = first_outlook(preference)
        self._links = 0
        self._dial_at: float | None = None
        self._probe_at: float | None = None
        self._move_at: float | None = None
        self.state = State.DISCONNECTED
        self.link: Link | None = None
        self.candidate: Link | None = None
        self.ended_by = (1000, "it was never opened")

    @property
    def wants_link(self) -> bool:
        """Whether all that is missing to dial is a token."""
        return self.state is State.CONNECTING and self.link is None

    @property
    def deadline(self) -> float | None:
        """When to call ``silent``, ``dial_is_due`` and ``probe`` next."""
        silences = [until for link in (self.link, self.candidate) if link and (until := self._patience(link))]
        times = [*silences, self._dial_at, self._probe_at, self._move_at]
        return min((time for time in times if time is not None and time != float("inf")), default=None)

    def of(self, link_id: int) -> Link | None:
        """Return the link of this number while it counts."""
        return next((each for each in (self.link, self.candidate) if each is not None and each.id == link_id), None)

    # --- up

    def begin(self) -> list[Effect]:
        """The time to connect has come."""
        self._dial_at = None
        self.state = step(self.state, Cause.DIAL)
        return [Changed(StateChange(State.CONNECTING, transport=self._outlook.current))]

    def dial(self, now: float) -> list[Effect]:
        """Open the transport whose turn it is."""
        self.link = self._new_link(self._outlook.current, now)
        return [Dial(self.link.id, self.link.transport)]

    def greeting(self, link_id: int, now: float) -> Link | None:
        """The transport of the link is open."""
        link = self.of(link_id)
        if link is None or link.stage is not Stage.DIALLING:
            return None
        link.stage, link.since = Stage.GREETING, now
        return link

    def established(self, link: Link, now: float) -> list[Effect]:
        """The link works: it carries the session from now on."""
        link.stage, link.since, link.heard = Stage.UP, now, now
        self._outlook = opened(self._outlook, link.transport)
        self._probe_at = None if self._outlook.is_best else self._next_probe(now)
        self._move_at = None
        if link is self.candidate:
            before, self.link, self.candidate = self.link, link, None
            self.state = step(self.state, Cause.SWITCHED)
        else:
            self.state = step(self.state, Cause.ESTABLISHED)
            before = None
        over: list[Effect] = [] if before is None else [HangUp(before.id)]
        if before is not None and before.transport == link.transport:
            return over  # renewed: nobody outside has to know
        return [*over, Changed(StateChange(State.CONNECTED, transport=link.transport))]

    # --- down

    def lost(self, loss: Loss, now: float, *, may_return: bool) -> list[Effect] | None:
        """The link ended: plan the next try; None where there is none to be, and the client is to end.

        Where the edge has switched this transport off, another is tried, whatever ``may_return`` says of this one.
        """
        link, self.link = self.link, None
        assert link is not None
        effects = self._forget_candidate()
        loss = self._spread(loss)
        if loss.after_s is None and self._move_at is not None:  # what the edge said holds, though it did not wait
            loss = replace(loss, after_s=max(0.0, self._move_at - now))
        self._probe_at = self._move_at = None
        was = self._outlook.current
        if loss.code == CloseCode.TRANSPORT_DISABLED:
            others = without(self._outlook, link.transport)
            if others is None:
                return None
            self._outlook = others
        elif not may_return:
            return None
        elif link.stage is not Stage.UP and not loss.refused:
            self._outlook = never_opened(self._outlook, unanswered=loss.unanswered)
        lived_s = now - link.since if link.stage is Stage.UP else 0.0
        return [*effects, *self._again(loss, now, lived_s=lived_s, at_once=self._steps_down(was))]

    def undialled(self, reason: str, now: float) -> list[Effect]:
        """There was no token to connect with."""
        return self._again(Loss(TOKEN_UNAVAILABLE, reason), now, lived_s=0.0, at_once=False)

    def candidate_lost(self, link_id: int, loss: Loss, now: float) -> list[Effect]:
        """The candidate does not open: the link in use serves on."""
        if self.candidate is not None and self.candidate.id == link_id:
            self.candidate = None
            self._probe_at = self._next_probe(now)
            if self.link is not None and self.link.leaving:
                self._move_at = now + (self._spread(loss).after_s or self._backoff.delay(self._jitter()))
        return []

    def end(self, code: int, reason: str) -> list[Effect]:
        """Close for good."""
        self.state = step(self.state, Cause.ENDED)
        self.ended_by = (code, reason)
        hung_up: list[Effect] = [HangUp(link.id) for link in (self.link, self.candidate) if link is not None]
        self.link = self.candidate = self._dial_at = self._probe_at = self._move_at = None
        return hung_up

    # --- time and advice

    def silent(self, now: float) -> tuple[Link, Loss] | None:
        """Return a link that has kept the client waiting for too long, and what that is called."""
        for link in (self.link, self.candidate):
            until = None if link is None else self._patience(link)
            if link is None or until is None or now < until:
                continue
            match link.stage:
                case Stage.DIALLING:
                    why = f"{link.transport} gave no answer within {self._timing.open_s:g} s"
                    return link, Loss(BROKEN, why, unanswered=True)
                case Stage.GREETING:
                    # A proxy may keep a stream to itself, or answer 101 and then nothing: no second try tells more.
                    why = f"no `connected` within {self._greeting_s(link):g} s"
                    return link, Loss(BROKEN, why, unanswered=True)
                case Stage.UP:
                    return link, Loss(BROKEN, f"no frame for {link.silence_s:g} s")
        return None

    def dial_is_due(self, now: float) -> bool:
        """Whether the wait before the next try is over."""
        return self._dial_at is not None and now >= self._dial_at

    def probe(self, now: float) -> list[Effect]:
        """Try the best transport where a lesser one is in use, if it is time."""
        if self._probe_at is None or now < self._probe_at:
            return []
        self._probe_at = None
        return self._try(self._outlook.best, now)

    def leave(self, link: Link, after_s: float, now: float) -> None:
        """The edge of ``link`` leaves, and wants it moved in ``after_s``; until then everything goes on."""
        link.leaving = True
        self._move_at = now + after_s

    def move(self, now: float) -> list[Effect]:
        """Open the way to another edge, if it is time."""
        if self._move_at is None or now < self._move_at:
            return []
        self._move_at = None
        return self.renew(now)

    def renew(self, now: float) -> list[Effect]:
        """Open the transport in use once more, to begin afresh on it."""
        return [] if self.link is None else self._try(self.link.transport, now)

    def advised(self, transports: Sequence[str], now: float) -> list[Effect]:
        """Follow the edge's policy."""
        self._outlook = advised(self._outlook, transports, self._preference)
        best = self._outlook.best
        if self.link is None or self.link.transport == best:
            self._probe_at = None
            return self._forget_candidate()
        if self.link.transport in self._outlook.order and best in self._outlook.failing:
            self._probe_at = self._probe_at or self._next_probe(now)  # it does not work here, or not yet again
            return []
        return self._try(best, now)

    # --- within

    def _try(self, transport: Transport, now: float) -> list[Effect]:
        if self.state is not State.CONNECTED or self.candidate is not None:
            return []
        self.candidate = self._new_link(transport, now)
        return [Dial(self.candidate.id, transport)]

    def _spread(self, loss: Loss) -> Loss:
        """Return the loss with a time of this client's own, where a proxy named one to everybody."""
        if not (loss.shared and loss.after_s):
            return loss
        return replace(loss, after_s=loss.after_s * (1 + SPREAD * self._jitter()))

    def _again(self, loss: Loss, now: float, *, lived_s: float, at_once: bool) -> list[Effect]:
        self._backoff = self._backoff.lost(lived_s=lived_s)
        # The edge knows better when it will be well again, and has spread its clients already.
        delay = loss.after_s or (0.0 if at_once else self._backoff.delay(self._jitter()))
        self._dial_at = now + delay
        self.state = step(self.state, Cause.LOST)
        return [Changed(StateChange(State.DISCONNECTED, loss.code, loss.reason, retry_s=delay))]

    def _steps_down(self, was: Transport) -> bool:
        """Whether a lesser transport is next: there is no reason to let it wait."""
        order = self._outlook.order
        return was != self._outlook.current and (
            was not in order or order.index(was) < order.index(self._outlook.current)
        )

    def _forget_candidate(self) -> list[Effect]:
        candidate, self.candidate = self.candidate, None
        return [] if candidate is None else [HangUp(candidate.id)]

    def _new_link(self, transport: Transport, now: float) -> Link:
        self._links += 1
        return Link(self._links, transport, since=now)

    def _next_probe(self, now: float) -> float:
        return now + self._timing.probe_s * (0.5 + self._jitter())

    def _greeting_s(self, link: Link) -> float:
        """Return how long `connected` may take; what worked before, or is all there is, may belong to a busy edge."""
        is_trusted = link.transport in self._outlook.proven or len(self._outlook.order) == 1
        return self._timing.connect_s if is_trusted else self._timing.open_s

    def _patience(self, link: Link) -> float | None:
        """Return when an answer is overdue on ``link``."""
        match link.stage:
            case Stage.DIALLING:
                return link.since + self._timing.open_s
            case Stage.GREETING:
                return link.since + self._greeting_s(link)
            case Stage.UP:
                return link.heard + link.silence_s
