"""Sends publications to their streams, many at a time, and does not let go of one until the stream has it.

What is sent again is sent under the same Nats-Msg-Id. Order is not decided here: whoever hands publications in has one
per channel under way at a time (``core.window``).
"""

import asyncio
import json
from collections.abc import Callable
from typing import Final, Protocol

from whimbrel.notifier.core import retry
from whimbrel.notifier.core.composition import Publication
from whimbrel.notifier.core.errors import Reason
from whimbrel.notifier.shell.archive import Archive
from whimbrel.notifier.shell.metrics import Counts
from whimbrel.runtime.delivery import Delivery
from whimbrel.runtime.errors import BusFault, BusUnavailable, JetStreamRefused, MalformedMessage
from whimbrel.runtime.logs import Logger
from whimbrel.runtime.nats import Connection

REPEAT_LOG_S: Final = 10.0  # of the same trouble
REPEATED: Final = b'"duplicate":'  # stands in an acknowledgement only where it is true
_NEVER: Final = float("inf")


class Owner(Protocol):
    """Who hands publications in, and hears of their end. Nobody else has published for it since ``began_at``."""

    began_at: float

    def may_publish(self) -> bool:
        """Tell whether what was handed in may still be sent."""

    def published(self, publication: Publication) -> None:
        """Take note that ``publication`` is stored."""

    def refused(self, publication: Publication, reason: Reason, text: str) -> None:
        """Take note that ``publication`` will never be stored."""


class _UnderWay:
    """A publication that is not stored yet. ``due``: when to act, because the acknowledgement or the wait is over."""

    __slots__ = ("due", "owner", "publication", "sent_at", "tries", "waiting")

    def __init__(self, publication: Publication, owner: Owner, now: float) -> None:
        self.publication = publication
        self.owner = owner
        self.sent_at = owner.began_at
        self.due = now
        self.tries = 0
        self.waiting = True


class Publisher:
    """Publications under way of all partitions, over one connection."""

    def __init__(
        self,
        bus: Connection,
        archive: Archive,
        counts: Counts,
        log: Logger,
        *,
        clock: Callable[[], float],
        chance: Callable[[], float],
    ) -> None:
        """``clock`` counts seconds and never goes back; ``chance`` gives a random number in [0, 1)."""
        self._bus = bus
        self._archive = archive
        self._counts = counts
        self._log = log
        self._clock = clock
        self._chance = chance
        self.on_stored: list[Callable[[Publication, int], None]] = []  # not repeats; with its sequence there
        self._under_way: dict[int, _UnderWay] = {}
        self._last = 0
        self._address = f"{bus.inbox.prefix}.stored."
        self._logged_at = -REPEAT_LOG_S
        self._look_ups: set[asyncio.Task[None]] = set()
        bus.attach(f"{self._address}*", self._acknowledged)

    def __len__(self) -> int:
        """Return how many publications are under way."""
        return len(self._under_way)

    def publish(self, publication: Publication, owner: Owner) -> None:
        """Send ``publication`` until it is stored; ``owner`` hears of the end, unless it abandons everything first."""
        self._last += 1
        self._under_way[self._last] = entry = _UnderWay(publication, owner, self._clock())
        self._send(self._last, entry)

    def abandon(self, owner: Owner) -> None:
        """Forget what ``owner`` handed in; what is sent already may still be stored."""
        self._under_way = {number: entry for number, entry in self._under_way.items() if entry.owner is not owner}

    def tick(self) -> None:
        """Send again what was not acknowledged in time, and what has waited long enough."""
        now = self._clock()
        for number, entry in [item for item in self._under_way.items() if item[1].due <= now]:
            if number not in self._under_way:
                continue  # its owner abandoned everything while we were at it
            if entry.waiting:
                self._send(number, entry)
            else:
                self._again(entry, f"no acknowledgement within {retry.PUBLISH_TIMEOUT_S} s")

    def _send(self, number: int, entry: _UnderWay) -> None:
        publication = entry.publication
        if not entry.owner.may_publish():
            return
        if self._clock() > publication.forgotten_at:
            entry.due = _NEVER
            task = asyncio.create_task(self._look_up(number, entry))
            self._look_ups.add(task)
            task.add_done_callback(self._look_ups.discard)
            return
        try:
            self._bus.send(
                publication.subject, publication.body, headers=publication.headers, reply=f"{self._address}{number}"
            )
        except BusUnavailable as fault:
            self._again(entry, str(fault))
        except MalformedMessage as fault:
            del self._under_way[number]
            entry.owner.refused(publication, Reason.TOO_LARGE, str(fault))
        else:
            entry.waiting = False
            entry.sent_at = self._clock()
            publication.forgotten_at = min(publication.forgotten_at, entry.sent_at + retry.DUPLICATE_WINDOW_S)
            entry.due = entry.sent_at + retry.PUBLISH_TIMEOUT_S

    async def _look_up(self, number: int, entry: _UnderWay) -> None:
        try:
            stored = await self._archive.holds(entry.publication, as_of=entry.sent_at)
        except (BusFault, JetStreamRefused) as fault:
            self._again(entry, f"cannot tell whether it is stored: {fault}")
            return
        if self._under_way.get(number) is not entry:
            return
        if stored:
            self._counts.found_stored += 1
            del self._under_way[number]
            entry.owner.published(entry.publication)
        else:
            entry.publication.forgotten_at = _NEVER
            self._send(number, entry)

    def _acknowledged(self, delivery: Delivery) -> None:
        number = int(delivery.subject[len(self._address) :])
        entry = self._under_way.get(number)
        if entry is None:
            return
        payload = delivery.payload
        if payload.startswith(b"{") and b'"error":' not in payload:
            del self._under_way[number]
            if REPEATED in payload:
                self._counts.duplicates += 1
            elif entry.publication.channel is not None:  # dead letters are counted by their events
                self._counts.stored += 1
                self._tell_stored(entry.publication, payload)
            entry.owner.published(entry.publication)
        elif delivery.status() == 503:
            self._again(entry, "no stream takes it now")
        else:
            self._rejected(number, entry, payload)

    def _tell_stored(self, publication: Publication, payload: bytes) -> None:
        if publication.place is not None and publication.place.supersedes:
            sequence = int(json.loads(payload)["seq"])
            for heed in self.on_stored:
                heed(publication, sequence)

    def _rejected(self, number: int, entry: _UnderWay, payload: bytes) -> None:
        error = json.loads(payload)["error"] if payload.startswith(b"{") else {}
        text = str(error.get("description", "no reason given"))
        reason = retry.permanent(error.get("err_code", 0))
        if reason is None:
            self._again(entry, text)
        else:
            del self._under_way[number]
            entry.owner.refused(entry.publication, reason, f"the stream refused it: {text}")

    def _again(self, entry: _UnderWay, why: str) -> None:
        entry.tries += 1
        entry.waiting = True
        now = self._clock()
        entry.due = now + retry.PUBLISH.wait_s(entry.tries, chance=self._chance())
        self._counts.retries += 1
        if now >= self._logged_at + REPEAT_LOG_S:
            self._logged_at = now
            self._log.warning(
                "publication.delayed",
                channel=entry.publication.key,
                reason=why,
                tries=entry.tries,
                under_way=len(self._under_way),
            )
