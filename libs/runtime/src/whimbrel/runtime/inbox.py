"""Where replies arrive: one wildcard subscription for all requests of a connection."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from whimbrel.runtime.delivery import Delivery
from whimbrel.runtime.errors import NoResponders, RequestRefused, RequestTimeout
from whimbrel.runtime.subscriptions import Deliver, Subscription

# The headers by which NATS' own service framework says that a request failed.
ERROR_CODE: Final = "Nats-Service-Error-Code"
ERROR_TEXT: Final = "Nats-Service-Error"
NO_RESPONDERS: Final = 503


class Inbox:
    """Hands each reply to the request that waits for it."""

    def __init__(self, prefix: str, attach: Callable[[str, Deliver], Subscription]) -> None:
        self.prefix = prefix
        self._attach = attach
        self._subscription: Subscription | None = None
        self._open: dict[str, tuple[Deliver, asyncio.Future[Any]]] = {}
        self._last = 0

    def expect(self, reply: asyncio.Future[Delivery]) -> str:
        """Return an address whose first message resolves ``reply``, with the responder's error as an exception."""

        def receive(delivery: Delivery) -> None:
            if delivery.headers is None:
                reply.set_result(delivery)
            elif delivery.status() == NO_RESPONDERS and not delivery.payload:
                reply.set_exception(NoResponders("nobody answers on this subject"))
            elif (code := delivery.header(ERROR_CODE)) is not None:
                reply.set_exception(RequestRefused(int(code), delivery.header(ERROR_TEXT) or ""))
            else:
                reply.set_result(delivery)

        return self.collect(receive, reply)

    def collect(self, receive: Deliver, complete: asyncio.Future[Any]) -> str:
        """Return an address whose messages ``receive`` gets until ``complete`` is done; a lost bus fails it."""
        if self._subscription is None:
            self._subscription = self._attach(f"{self.prefix}.*", self._deliver)
        self._last += 1
        address = f"{self.prefix}.{self._last:x}"
        self._open[address] = (receive, complete)
        complete.add_done_callback(lambda _: self._open.pop(address, None))
        return address

    def lost(self) -> None:
        """Fail whatever is awaited: what was asked on the lost connection is answered to nobody."""
        for _, complete in list(self._open.values()):
            if not complete.done():
                complete.set_exception(RequestTimeout("the connection to NATS was lost before an answer came"))

    def _deliver(self, delivery: Delivery) -> None:
        receive, complete = self._open.get(delivery.subject, (None, None))
        if receive is not None and complete is not None and not complete.done():
            receive(delivery)
