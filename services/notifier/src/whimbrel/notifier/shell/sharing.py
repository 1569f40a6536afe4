"""Keeps the process's share of the partitions, and the clock of all of them."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Final

from pydantic import ValidationError

from whimbrel.notifier.core.peers import TELL_S, Holding, Peers
from whimbrel.notifier.shell.partition import Partition
from whimbrel.notifier.shell.publisher import Publisher
from whimbrel.notifier.shell.tenure import Tenure
from whimbrel.protocol import subjects
from whimbrel.runtime.errors import BusUnavailable
from whimbrel.runtime.logs import Logger
from whimbrel.runtime.metrics import Metrics
from whimbrel.runtime.nats import Connection, Delivery

TICK_S: Final = 0.1


class Sharing:
    """The partitions of this process among those of its peers."""

    def __init__(self, bus: Connection, peers: Peers, log: Logger, *, clock: Callable[[], float]) -> None:
        self.partitions: Sequence[Partition] = ()
        self.leaving = False
        self._bus = bus
        self._peers = peers
        self._log = log
        self._clock = clock
        self._releases: set[asyncio.Task[None]] = set()
        bus.attach(subjects.NOTIFIERS, self._heard)

    @property
    def tenures(self) -> dict[int, Tenure]:
        """Return the tenures of now, by partition."""
        return {one.number: one.tenure for one in self.partitions if one.tenure is not None}

    @property
    def in_hand(self) -> int:
        """Return how many events are begun and not finished."""
        return sum(tenure.in_hand for tenure in self.tenures.values())

    def expose(self, metrics: Metrics) -> None:
        """Expose what is held now: the lag is known for the partitions that are ours."""
        metrics.labelled(
            "whimbrel_notifier_lag",
            "Events not finished, of the partitions held.",
            "gauge",
            ("partition",),
            lambda: {(str(number),): tenure.lag for number, tenure in self.tenures.items()},
        )
        metrics.counter(
            "whimbrel_notifier_consumer_resets_total",
            "Times a partition was begun at its last acknowledgement.",
            lambda: sum(one.resets for one in self.partitions),
        )

    def may_claim(self) -> bool:
        """Tell whether to ask for a partition that nobody holds."""
        return not self.leaving and self._peers.may_claim(len(self.partitions), len(self.tenures))

    async def run(self, instance: str, publisher: Publisher) -> None:
        """Tick partitions and publisher, tell the peers what is held, let go of what is too much; until cancelled."""
        told_at = -TELL_S
        while True:
            for tenure in self.tenures.values():
                tenure.tick()
            publisher.tick()
            now = self._clock()
            if now >= told_at + TELL_S:
                told_at = now
                self._tell(instance)
                self._peers.forget_silent(now=now)
                self._even_out()
            await asyncio.sleep(TICK_S)

    async def leave(self) -> None:
        """Finish what is begun everywhere and give all partitions away."""
        self.leaving = True
        await asyncio.gather(*(partition.release() for partition in self.partitions))

    def _tell(self, instance: str) -> None:
        holding = Holding(instance=instance, holds=len(self.tenures))
        with contextlib.suppress(BusUnavailable):
            self._bus.send(subjects.NOTIFIERS, holding.model_dump_json().encode())

    def _heard(self, delivery: Delivery) -> None:
        with contextlib.suppress(ValidationError):  # of another version: it counts as not there
            self._peers.hear(Holding.model_validate_json(delivery.payload), now=self._clock())

    def _even_out(self) -> None:
        if self._releases or self.leaving:
            return
        for number in self._peers.to_release(len(self.partitions), self.tenures):
            task = asyncio.create_task(self.partitions[number].release())
            self._releases.add(task)
            task.add_done_callback(self._releases.discard)
        if self._releases:
            self._log.info("partitions.shared", peers=self._peers.count, released=len(self._releases))
