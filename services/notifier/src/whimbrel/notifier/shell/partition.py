"""One partition of EVENTS for the life of the process: on standby until the server pins us, then one tenure after the
other.

Whatever goes wrong, the way back is the same: forget what is in hand, have the consumer reset to its last
acknowledgement, and begin there. Publications that were stored before are stored once all the same, by their
Nats-Msg-Id.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final

from whimbrel.notifier.core import retry
from whimbrel.notifier.shell import consumer as wire
from whimbrel.notifier.shell.consumer import Consumer
from whimbrel.notifier.shell.tenure import End, Tenure
from whimbrel.runtime.errors import BusFault, JetStreamRefused, LayoutMissing
from whimbrel.runtime.logs import Logger
from whimbrel.runtime.nats import Connection, Delivery

WAIT_S: Final = 0.1  # between looks at whether a claim is in order
PROBE_S: Final = 1.0


class Partition:
    """Claims one partition and holds it as long as it may."""

    def __init__(
        self,
        number: int,
        bus: Connection,
        log: Logger,
        *,
        tenure: Callable[[Consumer, Logger, str, int], Tenure],
        may_claim: Callable[[], bool],
        same_stream: Callable[[], Awaitable[None]],
        chance: Callable[[], float],
    ) -> None:
        """``tenure`` makes one from consumer, log, pin and the last event handled; ``same_stream`` raises LayoutFault
        unless EVENTS is what it was; ``chance`` is random in [0, 1).
        """
        self.number = number
        self.tenure: Tenure | None = None
        self.resets = 0
        self._bus = bus
        self._log = log.bind(partition=number)
        self._consumer = Consumer(bus, number)
        self._new_tenure = tenure
        self._may_claim = may_claim
        self._same_stream = same_stream
        self._chance = chance
        self._declared = False
        self._given_away = asyncio.Event()
        self._pin = ""
        self._handled = 0

    async def run(self) -> None:
        """Claim the partition, serve it, and begin again; until cancelled.

        Raises LayoutMismatch when EVENTS was lost and declared anew: its sequences then mean other events.
        """
        tries = 0
        while True:
            try:
                await self._once()
                tries = 0
            except (BusFault, JetStreamRefused, LayoutMissing) as fault:
                tries += 1
                if isinstance(fault, JetStreamRefused):
                    self._declared = False  # the consumer, or the whole stream, may be gone
                if tries == 1 and self._bus.connected:
                    self._log.warning("partition.delayed", reason=str(fault))
                await asyncio.sleep(retry.CLAIM.wait_s(tries, chance=self._chance()))

    async def release(self) -> None:
        """Finish what is begun and give the partition to the next notifier in line."""
        tenure = self.tenure
        if tenure is not None:
            self._given_away.clear()
            tenure.release()
            await self._given_away.wait()

    async def _once(self) -> None:
        if not self._declared:
            await self._same_stream()
            await self._consumer.declare()
            self._declared = True
        if self._pin and not await self._still_pinned():
            self._pin = ""
        if not self._pin:
            self._pin = await self._claim()
        try:
            await self._serve_and_let_go()
        finally:
            self._given_away.set()

    async def _serve_and_let_go(self) -> None:
        end = await self._serve()
        self._log.debug("partition.ended", end=end.value, handled=self._handled)
        match end:
            case End.OUT_OF_STEP:
                pass
            case End.RELEASED:
                self._pin = ""
                await self._consumer.unpin()
            case End.PIN_LOST:
                self._pin = ""
            case End.CONSUMER_GONE:
                self._pin = ""
                raise JetStreamRefused(wire.NOBODY, 0, "the consumer is gone, or has no leader")

    async def _claim(self) -> str:
        """Return the pin, once the server has given us one."""
        while True:
            if not (self._bus.connected and self._may_claim()):
                await asyncio.sleep(WAIT_S)
                continue
            answer = await self._ask(self._consumer.claim, wire.CLAIM_S + PROBE_S)
            if answer is not None and (pin := answer.header(wire.PIN_HEADER)):
                if self._may_claim():
                    return pin
                await self._consumer.unpin()  # it came after we had decided to leave it to others
                continue
            if answer is None or answer.status() == wire.EXPIRED:
                if await self._consumer.is_orphaned():
                    await self._consumer.reset()
            else:
                raise JetStreamRefused(answer.status(), 0, "the partition cannot be claimed now")

    async def _still_pinned(self) -> bool:
        answer = await self._ask(lambda: self._consumer.probe(self._pin), PROBE_S)
        return answer is not None and answer.status() in (0, wire.NOTHING, wire.EXPIRED)

    async def _ask(self, send: Callable[[], None], timeout: float) -> Delivery | None:
        """Return the first answer to a pull, None where there is none in time."""
        answer: asyncio.Future[Delivery] = asyncio.get_running_loop().create_future()

        def receive(delivery: Delivery) -> None:
            if not answer.done():
                answer.set_result(delivery)

        subscription = self._consumer.listen(receive)
        try:
            send()
            async with asyncio.timeout(timeout):
                return await answer
        except TimeoutError:
            return None
        finally:
            subscription.detach()

    async def _serve(self) -> End:
        await self._consumer.reset()
        self.resets += 1
        self.tenure = tenure = self._new_tenure(self._consumer, self._log, self._pin, self._handled)
        subscription = self._consumer.listen(tenure.deliver)

        def disconnected() -> None:
            tenure.end(End.OUT_OF_STEP)

        self._bus.on_disconnected.append(disconnected)
        try:
            tenure.begin()
            return await tenure.over
        finally:
            self.tenure = None
            self._handled = tenure.handled
            tenure.end(End.OUT_OF_STEP)
            self._bus.on_disconnected.remove(disconnected)
            with contextlib.suppress(BusFault):
                subscription.detach()
