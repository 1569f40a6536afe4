"""The domain team: one publisher per channel, one event under way at a time."""

import asyncio
import json
from random import Random
from typing import Final

import nats
import nats.errors
from nats.aio.client import Client as Nats

from tests.faults.records import Published

ACK_S: Final = 2.0
AGAIN_S: Final = 0.05
GIVEN_UP: Final = 0.02  # of what is not acknowledged at once: its publisher has died in between


class Publisher:
    """Publishes 0, 1, 2, … to one entity's subject."""

    def __init__(self, bus: Nats, entity: str, published: Published, random: Random) -> None:
        self._bus = bus
        self._entity = entity
        self._published = published
        self._random = random
        self.next = 0

    @property
    def last_acked(self) -> int:
        return max(self._published.acked, default=-1)

    async def run(self, *, pause_s: float) -> None:
        """Publish until cancelled; what is under way then is finished."""
        while True:
            await asyncio.shield(self.publish())
            await asyncio.sleep(pause_s)

    async def publish(self) -> None:
        """Publish the next number until it is acknowledged, or given up."""
        number, self.next = self.next, self.next + 1
        headers = {
            "ce-id": f"{self._entity}-{number}",
            "ce-source": "faults",
            "ce-type": "order.changed",
            "Nats-Msg-Id": f"faults/{self._entity}-{number}",
        }
        while True:
            try:
                subject = f"events.shop.order.{self._entity}"
                reply = await self._bus.request(subject, str(number).encode(), headers=headers, timeout=ACK_S)
                if "seq" in json.loads(reply.data):
                    self._published.acked.add(number)
                    return
            except (nats.errors.Error, TimeoutError, OSError):
                pass
            if self._random.random() < GIVEN_UP:
                self._published.unknown.add(number)
                return
            await asyncio.sleep(AGAIN_S)


async def connect(url: str) -> Nats:
    """Connect as a domain team that never gives up."""

    async def quiet(_: Exception) -> None: ...

    return await nats.connect(
        url,
        max_reconnect_attempts=-1,
        reconnect_time_wait=0.1,
        ping_interval=1,
        max_outstanding_pings=2,
        error_cb=quiet,
    )
