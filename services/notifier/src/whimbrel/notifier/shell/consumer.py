"""The durable consumer of one partition of EVENTS, over JetStream's own requests: nats-py knows neither priority groups
nor where a pulled message's status belongs.

How `pinned_client` works, found by trial with nats-server 2.15.1 (tests/notifier/test_pinning.py holds it to that):

* A pull without ``id`` waits. When a message is there and nobody is pinned, the pull that waited longest gets it, with
  a ``Nats-Pin-Id`` header: its sender is pinned from then on and sends that id with each pull.
* The pin ends ``priority_timeout`` after the last *pull* that bore it (acknowledgements do not count), by an UNPIN
  request, and with a restart of the server. The next pull in line then gets the next message.
* A pull with another id is answered 423, at once or when a message is there.
* RESET keeps the pin and the waiting pulls; deliveries are numbered from 1 again and begin after the last
  acknowledgement.
"""

import json
from collections.abc import Callable
from typing import Any, Final

from whimbrel.notifier.core import intake
from whimbrel.notifier.core.intake import Pull
from whimbrel.protocol import subjects
from whimbrel.runtime import jetstream
from whimbrel.runtime.nats import Connection, Delivery, Subscription

PIN_HEADER: Final = "Nats-Pin-Id"
UNSERVED_HEADER: Final = "Nats-Pending-Messages"  # of a request that ended: how many it would still have taken
ACK_WAIT_S: Final = 30.0  # an event not acknowledged by then comes again; who still works on it says so before
CLAIM_S: Final = 2.0  # how long a request for a free partition stands

ACK: Final = b"+ACK"
IN_PROGRESS: Final = b"+WPI"
TERMINATE: Final = b"+TERM "

EXPIRED: Final = 408  # of statuses: the request ended, with fewer messages than asked for
NOTHING: Final = 404
CLOSED: Final = 409  # … because of its size limit, a new leader, or because the consumer is gone
PIN_MISMATCH: Final = 423
NOBODY: Final = 503

_GROUP: Final = "notifier"
_S: Final = 1_000_000_000  # JetStream counts in nanoseconds


class Consumer:
    """Requests about one consumer; the answers to pulls arrive where ``listen`` says."""

    def __init__(self, bus: Connection, partition: int) -> None:
        self._bus = bus
        self._name = subjects.event_consumer(partition)
        self._filter = subjects.event_filter(partition)
        self._address = f"{bus.inbox.prefix}.{self._name}"
        self._generation = 0
        self._inbox = ""

    async def declare(self) -> None:
        """Create the consumer, or bring it to these settings.

        Raises JetStreamRefused, BusFault.
        """
        config: dict[str, Any] = {
            "name": self._name,
            "durable_name": self._name,
            "deliver_policy": "all",
            "ack_policy": "explicit",
            "ack_wait": int(ACK_WAIT_S * _S),
            "max_ack_pending": intake.MAX_ACK_PENDING,
            "max_deliver": -1,  # a crash counts a delivery for everything in hand: failures are counted here, not there
            "filter_subject": self._filter,
            "priority_groups": [_GROUP],
            "priority_policy": "pinned_client",
            "priority_timeout": int(intake.PIN_S * _S),
        }
        await jetstream.request(
            self._bus,
            f"CONSUMER.CREATE.{subjects.EVENTS}.{self._name}.{self._filter}",
            {"stream_name": subjects.EVENTS, "action": "", "config": config},
        )

    async def reset(self) -> None:
        """Have the consumer deliver again what follows the last acknowledgement, in order.

        Raises JetStreamRefused, BusFault.
        """
        await jetstream.request(self._bus, f"CONSUMER.RESET.{subjects.EVENTS}.{self._name}")

    async def is_orphaned(self) -> bool:
        """Tell whether events were delivered to a notifier that is pinned no more and acknowledged none of them.

        They would come again only after ACK_WAIT_S. Raises JetStreamRefused, BusFault.
        """
        info = await jetstream.request(self._bus, f"CONSUMER.INFO.{subjects.EVENTS}.{self._name}")
        pinned = any(group.get("pinned_client_id") for group in info.get("priority_groups", ()))
        return not pinned and bool(info["num_ack_pending"])

    async def unpin(self) -> None:
        """Let the next notifier in line have the partition now.

        Raises JetStreamRefused, BusFault.
        """
        await jetstream.request(self._bus, f"CONSUMER.UNPIN.{subjects.EVENTS}.{self._name}", {"group": _GROUP})

    def listen(self, deliver: Callable[[Delivery], None]) -> Subscription:
        """Have ``deliver`` called with what the pulls from now on bring; those before bring nothing any more."""
        self._generation += 1
        self._inbox = f"{self._address}.{self._generation}"
        return self._bus.attach(self._inbox, deliver)

    def claim(self) -> None:
        """Ask for one event if the partition is free.

        Raises BusUnavailable.
        """
        self._next({"batch": 1, "expires": int(CLAIM_S * _S)})

    def probe(self, pin: str) -> None:
        """Ask for one event or none, to see whether ``pin`` still holds.

        Raises BusUnavailable.
        """
        self._next({"batch": 1, "no_wait": True, "id": pin})

    def pull(self, pull: Pull, pin: str) -> None:
        """Ask for events, as who is pinned by ``pin``.

        Raises BusUnavailable.
        """
        self._next(
            {"batch": pull.batch, "max_bytes": pull.max_bytes, "expires": int(intake.PULL_S * _S), "id": pin},
        )

    def _next(self, request: dict[str, Any]) -> None:
        self._bus.send(
            f"$JS.API.CONSUMER.MSG.NEXT.{subjects.EVENTS}.{self._name}",
            json.dumps({"group": _GROUP, **request}).encode(),
            reply=self._inbox,
        )
