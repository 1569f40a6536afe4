"""Domain events as this team publishes them: CloudEvents in NATS headers, acknowledged before the next one."""

import asyncio
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final

import nats
from nats.aio.client import Client
from nats.errors import Error as NatsError

from orders.shop import Change

SOURCE: Final = "/shop"
BOARD: Final = "orders:board"  # every order's events in one channel, for pages that show them all
VIP: Final = "vip"
TRACED_ONE_IN: Final = 10
ACK_TIMEOUT_S: Final = 2.0
RETRY_S: Final = 0.5
MICROSECONDS: Final = "microseconds"


@dataclass(frozen=True)
class Event:
    """One fact to publish, and who hears of it besides whom the platform's routes name."""

    subject: str
    type: str
    id: str
    about: str
    data: Mapping[str, Any]
    users: Sequence[str] = ()
    groups: Sequence[str] = ()
    channels: Sequence[str] = ()


def order_event(change: Change, run: str) -> Event:
    """Return the event of a change: its customer hears of it, and the board shows it."""
    order = change.order
    return Event(
        subject=f"events.shop.order.{order.id}",
        type=change.type,
        id=f"{run}-{change.seq}",
        about=order.id,
        data={**asdict(order), "order": order.id, "seq": change.seq, "run": run},
        users=[order.customer],
        channels=[BOARD],
    )


def offer_event(number: int, item: str, percent: int, run: str) -> Event:
    """Return an offer for the group `vip` alone: no route knows it, its audience is in its headers."""
    return Event(
        subject=f"events.shop.offer.{number}",
        type="offer.announced",
        id=f"{run}-offer-{number}",
        about=str(number),
        data={"item": item, "percent": percent},
        groups=[VIP],
    )


def headers_of(event: Event, now: datetime, trace: str | None) -> dict[str, str]:
    """Return the NATS headers: CloudEvents attributes, the audience, and a key that makes a repeat harmless."""
    headers = {
        "ce-specversion": "1.0",
        "ce-id": event.id,
        "ce-source": SOURCE,
        "ce-type": event.type,
        "ce-time": now.isoformat(timespec=MICROSECONDS).replace("+00:00", "Z"),
        "ce-subject": event.about,
        "content-type": "application/json",
        "Nats-Msg-Id": f"{SOURCE}/{event.id}",
    }
    audience = {
        "whimbrel-users": event.users,
        "whimbrel-groups": event.groups,
        "whimbrel-channels": event.channels,
    }
    headers |= {name: ",".join(names) for name, names in audience.items() if names}
    if trace is not None:
        headers["traceparent"] = trace
    return headers


def new_trace() -> str:
    """Return a sampled W3C traceparent."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


class Press:
    """Publishes events one after the other; each is repeated until the stream has acknowledged it, so none is lost."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._turn = asyncio.Lock()
        self._published = 0

    @classmethod
    async def connect(cls, url: str) -> "Press":
        """Connect to the bus, and reconnect for ever."""

        async def quiet(_: Exception) -> None:
            """Say nothing: an event that waits for the bus is repeated, and `/ready` tells."""

        client = await nats.connect(
            url.split(","),
            name="shop",
            max_reconnect_attempts=-1,
            reconnect_time_wait=RETRY_S,
            error_cb=quiet,
        )
        return cls(client)

    @property
    def ready(self) -> bool:
        """Whether the bus is there and has taken an event."""
        return self._client.is_connected and self._published > 0

    async def publish(self, event: Event) -> None:
        """Publish ``event``; returns once it is stored. Its time is when it was handed in."""
        trace = new_trace() if self._published % TRACED_ONE_IN == 0 else None
        headers = headers_of(event, datetime.now(UTC), trace)
        payload = json.dumps(event.data, ensure_ascii=False).encode()
        async with self._turn:
            await self._store(event.subject, payload, headers)
            self._published += 1

    async def close(self) -> None:
        """Leave the bus."""
        await self._client.close()

    async def _store(self, subject: str, payload: bytes, headers: dict[str, str]) -> None:
        while True:
            try:
                reply = await self._client.request(subject, payload, timeout=ACK_TIMEOUT_S, headers=headers)
                if "error" not in json.loads(reply.data):  # a refusal has a `seq` as well, of 0
                    return
            except NatsError:
                pass  # no answer: it may be stored or not, and the repeat is harmless
            await asyncio.sleep(RETRY_S)
