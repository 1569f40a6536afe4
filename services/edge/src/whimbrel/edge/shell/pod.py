"""What all connections of the pod share, and the one timer that serves them."""

import asyncio
import base64
import os
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Set
from typing import Final, Protocol

from whimbrel.edge.core.brownout import Brownout
from whimbrel.edge.core.heartbeat import Item, TimerWheel
from whimbrel.edge.core.hub import Hub
from whimbrel.edge.core.liveness import Terms
from whimbrel.edge.core.quotas import Quotas
from whimbrel.edge.core.session import Session
from whimbrel.edge.settings import Settings
from whimbrel.edge.shell.admission import Admission
from whimbrel.edge.shell.deflate import Deflater
from whimbrel.edge.shell.entrance import Entrance
from whimbrel.edge.shell.errands import Errands
from whimbrel.edge.shell.gaps import Gaps
from whimbrel.edge.shell.gatekeeper import Gatekeeper
from whimbrel.edge.shell.journal import Journal
from whimbrel.edge.shell.metrics import Counters
from whimbrel.edge.shell.opening import Openings
from whimbrel.edge.shell.requests import Requests
from whimbrel.edge.shell.tracing import Tracing
from whimbrel.edge.shell.upgrades import Upgrades
from whimbrel.protocol.bodies import TransportsReply
from whimbrel.protocol.channels import Channel
from whimbrel.protocol.frames import Heartbeat, PollAdvice
from whimbrel.protocol.namespaces import Namespace
from whimbrel.runtime.logs import Logger
from whimbrel.runtime.metrics import Metrics

LOOKS: Final = 4  # at slow sockets while an outbox fills: none is over its watermark by more than a quarter
ID_BYTES: Final = 12
ID_CHARS: Final = 16  # of these bytes in base64
IDS_DRAWN: Final = 128
TICKS_PER_TERM: Final = 4  # the wheel is as fine as a quarter of the shortest term …
COARSEST_TICK_S: Final = 0.25  # … and so much later, at most, who is gone is gone: four turns a second cost 0.01 %


wall: Final = time.time  # Unix seconds


def session_ids() -> Iterator[str]:
    """Return names that nobody can guess, over 95 random bits each. The kernel is asked for many at a time.

    None has a hyphen: one in front would be an option to a command that is given the name.
    """
    while True:
        drawn = base64.b64encode(os.urandom(IDS_DRAWN * ID_BYTES), b"__").decode()
        for at in range(0, len(drawn), ID_CHARS):
            yield drawn[at : at + ID_CHARS]


class Timed(Item, Protocol):
    """Whatever wants a look at a time that it scheduled with the wheel."""

    transport: asyncio.Transport

    def tick(self, *, now: float) -> None:
        """Do what time asks for, and schedule the next look."""


class Slow(Protocol):
    """A socket that did not take everything at once."""

    transport: asyncio.Transport

    def check_outbox(self, *, now: float, elapsed: float) -> None:
        """Stop live writes beyond the high watermark; close what is stuck for too long."""


class Connected(Protocol):
    """A socket, or one poll after the other of a client, as far as the pod concerns it."""

    def leaving(self) -> None:
        """The pod begins to leave."""

    def tell_drain(self, *, after_ms: int) -> None:
        """Say when to move elsewhere; until then everything goes on."""

    def drain(self) -> None:
        """Close: the time to move is over."""

    def rules_changed(self, renewed: Set[Channel]) -> None:
        """Follow a change of the namespaces; ``renewed`` channels became durable or ephemeral."""

    def advised(self, policy: bytes) -> None:
        """Pass on a ``policy`` frame; who polls asks for it."""


class Pod:
    """The shared parts. ``rules`` is the live table of namespaces."""

    def __init__(
        self,
        settings: Settings,
        hub: Hub,
        openings: Openings,
        requests: Requests,
        gatekeeper: Gatekeeper,
        rules: Mapping[str, Namespace],
        counters: Counters,
        journal: Journal,
        tracing: Tracing,
        gaps: Gaps,
        log: Logger,
    ) -> None:
        self.settings = settings
        self.terms: Terms = settings.terms
        self.quotas = Quotas(requests_per_s=settings.requests_per_s, publish_per_s=settings.publish_per_s)
        self.hub = hub
        self.openings = openings
        self.requests = requests
        self.gatekeeper = gatekeeper
        self.users = gatekeeper.users
        self.admission = Admission(settings, gatekeeper.users)
        self.rules = rules
        self.counters = counters
        self.journal = journal
        self.tracing = tracing
        self.gaps = gaps
        self.log = log
        self.deflater = Deflater() if settings.compression == "deflate" else None
        self.upgrades = Upgrades(deflate=self.deflater is not None)
        self.loop = asyncio.get_running_loop()
        self.now: Callable[[], float] = (
            self.loop.time
        )  # seconds; the loop's own method, for each connect asks six times
        self.unix_zero = wall() - time.monotonic()  # Unix seconds when the loop's clock was 0
        self._session_ids = session_ids()
        shortest = min(self.terms.ping, self.terms.pong, self.terms.connect_timeout, settings.request_timeout_s)
        self.wheel: TimerWheel[Timed] = TimerWheel(
            now=self.loop.time(), tick=min(COARSEST_TICK_S, shortest / TICKS_PER_TERM)
        )
        self.connections: set[Connected] = set()
        self.entrance = Entrance(self.loop)
        self.slow: set[Slow] = set()
        self.sockets = 0  # TCP connections, whatever they are or will be
        self.brownout = Brownout(settings.bounds)
        self._flushed_bytes = 0  # to each channel's subscribers, since the slow were looked at
        self.draining = False
        self.empty = asyncio.Event()  # set when the last connection has gone, once draining
        self.errands = Errands(log, "connection.failed")

    def new_session(self) -> Session:
        """Return a session for a client who has just arrived."""
        return Session(next(self._session_ids), self.terms, self.rules, self.quotas, now=self.now())

    def durable(self, namespace: str) -> bool:
        """Tell whether channels of ``namespace`` keep history; the router's own always do."""
        return self.openings.durable(namespace)

    @property
    def full(self) -> bool:
        """Whether no more connections are taken."""
        return self.draining or len(self.connections) >= self.settings.max_connections

    @property
    def filled(self) -> float:
        """Which part of its room is taken: 1 where another connection, or TCP connection, would be refused."""
        settings = self.settings
        return max(len(self.connections) / settings.max_connections, self.sockets / settings.max_sockets)

    def advice(self) -> TransportsReply:
        """Return which transports a client should use now, best first."""
        brownout = self.brownout.active
        interval = self.settings.brownout_poll_s if brownout else self.settings.poll_interval_s
        return TransportsReply(
            transports=("poll",) if brownout else ("websocket", "sse", "poll"),
            cohort="default",
            heartbeat=Heartbeat(ping=self.terms.ping, pong=self.terms.pong),
            poll=PollAdvice(interval=interval),
        )

    def forget(self, connection: Connected) -> None:
        """The connection is gone."""
        self.connections.discard(connection)
        if self.draining and not self.connections:
            self.empty.set()

    def rules_changed(self) -> None:
        """Have every session follow a change of the namespaces."""
        renewed = self.openings.renew()
        for connection in tuple(self.connections):
            connection.rules_changed(renewed)

    def detail(self) -> dict[str, object]:
        """Return what `rpc.status.v1` tells of the pod."""
        return {
            "connections": dict(self.counters.open),
            "channels": len(self.hub.channels),
            "users": len(self.users),
            "closes": {slug: number for slug, number in self.counters.closed.items() if number},
        }

    @property
    def outbox_bytes(self) -> int:
        """What waits for slow sockets to take it."""
        return sum(slow.transport.get_write_buffer_size() for slow in self.slow)

    def weigh_outboxes(self) -> None:
        """Note the most that ever waited."""
        if self.slow:
            self.counters.outbox_peak = max(self.counters.outbox_peak, self.outbox_bytes)

    def expose(self, metrics: Metrics) -> None:
        """Publish the counters of the pod and its parts."""
        metrics.gauge(
            "whimbrel_edge_slow_sockets", "Sockets that did not take everything at once.", lambda: len(self.slow)
        )
        metrics.gauge(
            "whimbrel_edge_outbox_bytes", "Bytes that wait for slow sockets to take them.", lambda: self.outbox_bytes
        )
        self.counters.expose(metrics)
        self.openings.recoveries.expose(metrics)
        self.gatekeeper.expose(metrics)
        self.journal.expose(metrics)
        self.gaps.expose(metrics)
        if self.deflater is not None:
            self.deflater.expose(metrics)

    def flushed(self, size: int) -> None:
        """Look at the slow sockets where a fan-out may have filled them: each may have got ``size`` bytes more."""
        self._flushed_bytes += size
        if self.slow and self._flushed_bytes * LOOKS > self.settings.outbox_bytes:
            self._look_at_slow(self.now(), elapsed=0.0)

    def _look_at_slow(self, now: float, *, elapsed: float) -> None:
        self._flushed_bytes = 0
        for slow in tuple(self.slow):
            try:
                slow.check_outbox(now=now, elapsed=elapsed)
            except Exception as error:
                self._cut(slow, error)

    def _cut(self, faulty: Timed | Slow, error: Exception) -> None:
        """Have a fault of ours cost one connection, not the time of all."""
        self.log.exception("connection.failed", error)
        faulty.transport.abort()

    def spawn(self, work: Coroutine[None, None, None], failed: Callable[[], None]) -> None:
        """Run ``work``; a fault of ours in it is logged, and ``failed`` is called."""
        self.errands.send(work, failed)

    async def run(self) -> None:
        """Turn the wheel. Ends when cancelled."""
        turn, before = self.wheel.tick, self.now()
        try:
            while True:
                await asyncio.sleep(self.wheel.until_turn(now=before))
                now = self.now()  # the loop has read what clients sent before it comes here, however late it is
                for timed in self.wheel.due(now=now):
                    try:
                        timed.tick(now=now)
                    except Exception as error:
                        self._cut(timed, error)
                self._look_at_slow(now, elapsed=min(now - before, 2 * turn))  # nor did it write
                before = now
        finally:
            self.errands.cancel()
