"""The subscriptions of one connection, whichever client carries them now."""

from collections.abc import Callable
from typing import Protocol

from whimbrel.runtime.delivery import Delivery

Deliver = Callable[[Delivery], None]


class Subscription:
    """Interest in one subject; lives in the registry and so outlives the client that carries it."""

    __slots__ = ("_interest", "_registry", "deliver", "sid")

    def __init__(self, registry: "Registry", sid: int, subject: str, queue: str, deliver: Deliver) -> None:
        self._registry = registry
        self.sid = sid
        # Who is called may know the subject too; of thousands of subscriptions each copy would take 67 bytes.
        known = not queue and getattr(deliver, "subject", None) == subject
        self._interest = None if known else f"{subject} {queue}"  # as it is written
        self.deliver = deliver

    @property
    def subject(self) -> str:
        """What is subscribed to."""
        if self._interest is not None:
            return self._interest.partition(" ")[0]
        subject: str = self.deliver.subject  # type: ignore[attr-defined]  # as ``__init__`` has seen
        return subject

    def detach(self) -> None:
        """Stop deliveries now; a second call does nothing."""
        self._registry.detach(self)

    async def unsubscribe(self) -> None:
        """Stop deliveries now; a second call does nothing."""
        self._registry.detach(self)

    def command(self) -> bytes:
        """Return the SUB line."""
        return f"SUB {self._interest or self.subject} {self.sid}\r\n".encode()


class Carrier(Protocol):
    """The client of now: numbers its own subscriptions from the same counter, and sends commands."""

    _sid: int

    @property
    def is_connected(self) -> bool:
        """Whether commands reach the server."""
        ...

    def enqueue(self, command: bytes) -> None:
        """Send ``command``."""
        ...


class Registry:
    """Subscriptions by sid, and what is called for them."""

    def __init__(self, failed: Callable[[str, Exception], None]) -> None:
        self.by_sid: dict[int, Subscription] = {}
        self.last_sid = 0
        self.carrier: Carrier | None = None
        self.on_read_end: Callable[[], None] | None = None
        self.messages_in = 0
        self._failed = failed

    def attach(self, subject: str, queue: str, deliver: Deliver) -> Subscription:
        """Add a subscription and tell the server as soon as there is one."""
        self.last_sid += 1
        if self.carrier is not None:
            self.carrier._sid = self.last_sid = max(self.last_sid, self.carrier._sid + 1)
        subscription = Subscription(self, self.last_sid, subject, queue, deliver)
        self.by_sid[subscription.sid] = subscription
        self._tell(subscription.command())
        return subscription

    def detach(self, subscription: Subscription) -> None:
        """Forget a subscription and tell the server."""
        if self.by_sid.pop(subscription.sid, None) is not None:
            self._tell(b"UNSUB %d\r\n" % subscription.sid)

    def commands(self) -> bytes:
        """Return the SUB lines of all subscriptions, for a new connection."""
        return b"".join(subscription.command() for subscription in self.by_sid.values())

    def deliver(self, subscription: Subscription, delivery: Delivery) -> None:
        """Hand ``delivery`` over; a fault of the callback is told, and the next message follows."""
        self.messages_in += 1
        try:
            subscription.deliver(delivery)
        except Exception as error:
            self._failed(subscription.subject, error)

    def read_ended(self) -> None:
        """Tell that everything of one socket read was delivered."""
        if self.on_read_end is not None:
            try:
                self.on_read_end()
            except Exception as error:
                self._failed("on_read_end", error)

    def _tell(self, command: bytes) -> None:
        # Never refused for a full buffer: interest must not diverge from what the server knows. A new connection gets
        # all of it.
        if self.carrier is not None and self.carrier.is_connected:
            self.carrier.enqueue(command)
