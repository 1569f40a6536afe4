"""The domain team: events that each go to several channels at once, one under way at a time."""

import asyncio
import json
import time
from collections.abc import Sequence
from random import Random
from typing import Any, Final

import nats.errors
from nats.aio.client import Client as Nats

from tests.faults.records import Published

ACK_S: Final = 2.0
AGAIN_S: Final = 0.05
GIVEN_UP: Final = 0.02  # of what is not acknowledged at once: its publisher has died in between


class Publisher:
    """Publishes 0, 1, 2, … to one entity's subject, and by that to ``channels``."""

    def __init__(self, bus: Nats, entity: str, channels: Sequence[str], random: Random) -> None:
        self.published = Published()
        self.channels = channels
        self._stopped = False
        self._bus = bus
        self._entity = entity
        self._random = random

    async def run(self, *, pause_s: float) -> None:
        """Publish until told to ``stop``; what is under way then is finished."""
        while not self._stopped:
            await self.publish()
            await asyncio.sleep(pause_s)

    def stop(self) -> None:
        """Begin nothing more."""
        self._stopped = True

    async def publish(self) -> None:
        """Publish the next number until it is acknowledged, or given up."""
        self.published.begun = number = self.published.begun + 1
        headers = {
            "ce-id": f"{self._entity}-{number}",
            "ce-source": "faults",
            "ce-type": "order.changed",
            "Nats-Msg-Id": f"faults/{self._entity}-{number}",
            "whimbrel-channels": ",".join(self.channels),
        }
        while True:
            try:
                subject = f"events.shop.order.{self._entity}"
                reply = await self._bus.request(subject, str(number).encode(), headers=headers, timeout=ACK_S)
                if sequence := stored_as(reply.data):
                    self.published.acknowledge(number, sequence, now=time.monotonic())
                    return
            except (nats.errors.Error, TimeoutError, OSError):
                pass
            if self._random.random() < GIVEN_UP:
                self.published.unknown.add(number)
                return
            await asyncio.sleep(AGAIN_S)


def stored_as(reply: bytes) -> int:
    """Return the sequence that a reply acknowledges, 0 for a refusal.

    A refusal has a ``seq`` as well, of 0: `duplicate message id is in process`, while no quorum has stored it yet.
    """
    answer = json.loads(reply)
    return 0 if "error" in answer else int(answer["seq"])


class _Faithful(Nats):
    """Goes to the servers that it was given: others would be a way around the proxies."""

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
        info.pop("connect_urls", None)
        await super()._process_info(info, initial_connection)


async def connect(urls: Sequence[str]) -> Nats:
    """Connect as a domain team that never gives up."""

    async def quiet(_: Exception) -> None: ...

    client = _Faithful()
    await client.connect(
        list(urls),
        max_reconnect_attempts=-1,
        reconnect_time_wait=0.1,  # type: ignore[arg-type]  # it sleeps that long
        ping_interval=1,
        max_outstanding_pings=2,
        error_cb=quiet,
    )
    return client
