"""Subscriptions that outlive the client which carries them."""

from whimbrel.runtime.delivery import Delivery
from whimbrel.runtime.subscriptions import Registry


class Listener:
    """Hears one subject, and knows which."""

    subject = "live.orders.42"

    def __call__(self, message: Delivery) -> None:
        """Take a message."""


def a_registry() -> Registry:
    return Registry(lambda where, error: None)


def test_a_subscription_tells_its_subject_whoever_knows_it() -> None:
    registry, listener = a_registry(), Listener()
    known = registry.attach("live.orders.42", "", listener)
    other = registry.attach("live.orders.43", "", listener)
    plain = registry.attach("ctl.keys", "", lambda message: None)
    shared = registry.attach("live.orders.42", "workers", listener)
    subjects = [each.subject for each in (known, other, plain, shared)]
    assert subjects == ["live.orders.42", "live.orders.43", "ctl.keys", "live.orders.42"]


def test_a_new_connection_is_told_all_subscriptions_with_their_queues() -> None:
    registry = a_registry()
    registry.attach("live.orders.42", "", Listener())
    registry.attach("rpc.auth", "auth", lambda message: None)
    gone = registry.attach("ctl.keys", "", lambda message: None)
    gone.detach()
    told = [line.split() for line in registry.commands().splitlines()]
    assert told == [[b"SUB", b"live.orders.42", b"1"], [b"SUB", b"rpc.auth", b"auth", b"2"]]
