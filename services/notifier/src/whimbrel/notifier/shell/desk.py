"""Turns one delivered event into what has to be sent for it, by the routes and namespaces of now."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from opentelemetry.trace import Tracer

from whimbrel.notifier.core import audience, composition, events
from whimbrel.notifier.core.composition import Publication
from whimbrel.notifier.core.errors import Reason, Undeliverable, UnknownNamespace
from whimbrel.notifier.core.events import Message
from whimbrel.notifier.core.retry import DUPLICATE_WINDOW_S
from whimbrel.notifier.core.routes import Routes
from whimbrel.notifier.shell import tracing
from whimbrel.notifier.shell.tracing import EventSpans
from whimbrel.protocol.namespaces import Namespace
from whimbrel.runtime.logs import Logger

PATIENCE_S: Final = 2.0  # that an unknown namespace gets: a router that starts with us may be about to declare it
MAX_UNKNOWN: Final = 1000  # namespaces remembered as unknown


class Composed(NamedTuple):
    """What to send, to be gone through once. ``dead`` says why where it is a dead letter; ``spans`` where the event is
    traced.
    """

    publications: Iterable[Publication]
    dead: Reason | None = None
    spans: EventSpans | None = None


class NotYet(Exception):
    """The event names a namespace that may be about to appear: try again in a moment."""


class Desk:
    """Composes publications and dead letters of all partitions."""

    def __init__(
        self,
        routes: Routes,
        namespaces: Callable[[], Mapping[str, Namespace]],
        tracer: Tracer,
        log: Logger,
        *,
        epoch: str,
        restored_at: int,
        max_bytes: int,
        clock: Callable[[], float],
        unix_time: Callable[[], float],
    ) -> None:
        """``epoch`` of stream EVENTS; what came to it before ``restored_at`` (Unix seconds) may have been published
        unknown to its consumer; ``max_bytes`` of one message on the bus.
        """
        self._routes = routes
        self._namespaces = namespaces
        self._tracer = tracer
        self._log = log
        self._epoch = epoch
        self._restored_at = restored_at
        self._max_bytes = max_bytes
        self._clock = clock
        self._unix_time = unix_time
        self._unknown_since: dict[str, float] = {}

    def compose(self, message: Message, *, redelivered: bool) -> Composed:
        """Return what to send for ``message``; ``redelivered``: a notifier that died may have sent it before.

        Raises NotYet.
        """
        try:
            event = events.parse(message, epoch=self._epoch)
            targets = audience.targets(event, self._routes, self._namespaces())
        except UnknownNamespace as fault:
            self._be_patient(fault)
            return self._dead(message, fault, redelivered)
        except Undeliverable as fault:
            return self._dead(message, fault, redelivered)
        except Exception as error:  # a fault of ours: were it raised, this one event would stop its partition for ever
            self._log.exception("event.failed", error, sequence=message.sequence)
            why = Undeliverable(Reason.INTERNAL, "the notifier failed on this event: its log says why")
            return self._dead(message, why, redelivered)
        spans = tracing.begin(self._tracer, event, targets, event.id) if event.traceparent else None
        return Composed(
            composition.publications(
                event,
                targets,
                message,
                epoch=self._epoch,
                traceparent="" if spans is None else spans.traceparent,
                forgotten_at=self._forgotten_at(message, redelivered),
                now=self._unix_time(),
            ),
            spans=spans,
        )

    def dead_letter(
        self, message: Message, reason: Reason, text: str, *, redelivered: bool, bare: bool = False
    ) -> Publication:
        """Return the dead letter of ``message``; a ``bare`` one says only why, and where the event is."""
        return composition.dead_letter(
            message,
            reason,
            text,
            epoch=self._epoch,
            max_bytes=0 if bare else self._max_bytes,
            forgotten_at=self._forgotten_at(message, redelivered),
        )

    def _dead(self, message: Message, fault: Undeliverable, redelivered: bool) -> Composed:
        return Composed([self.dead_letter(message, fault.reason, fault.message, redelivered=redelivered)], fault.reason)

    def _forgotten_at(self, message: Message, redelivered: bool) -> float:
        """Return from when on streams may have forgotten what a notifier that died sent of ``message`` (clock seconds).

        Not whether they have by now: a publication may wait for long before it is sent.
        """
        stored_at = message.stored_at_ns / 1e9
        if not redelivered and stored_at >= self._restored_at:
            return math.inf
        return self._clock() + DUPLICATE_WINDOW_S - (self._unix_time() - stored_at)

    def _be_patient(self, fault: UnknownNamespace) -> None:
        """Raise NotYet while the namespace of ``fault`` has not been unknown for PATIENCE_S."""
        since = self._unknown_since
        if len(since) >= MAX_UNKNOWN:
            return
        if self._clock() < since.setdefault(fault.namespace, self._clock()) + PATIENCE_S:
            raise NotYet(fault.message) from fault
