"""Bugs for the checker to find. They are built into the services of a test as these start, and sleep until a test
wakes one; nothing of them is in the product.
"""

from collections.abc import Callable
from typing import Any, Final

Awake = Callable[[], str]  # the name of the bug that is awake


class OneIn:
    """Says yes to one in so many."""

    def __init__(self, many: int) -> None:
        self._many = many
        self._count = 0

    def __call__(self) -> bool:
        self._count += 1
        return self._count % self._many == 0


def spoil_publisher(awake: Awake, due: Callable[[], bool]) -> None:
    """Have the notifier drop, duplicate or swap publications that are ``due``, or take all for stored when sent."""
    from whimbrel.notifier.shell.publisher import Publisher
    from whimbrel.protocol.publications import MSG_ID

    publish = Publisher.publish
    held: dict[str, Any] = {}  # by channel: what goes out behind the next one

    def send(self: Any, publication: Any, **headers: str) -> None:
        self._bus.send(publication.subject, publication.body, headers={**publication.headers, **headers})

    def spoilt(self: Any, publication: Any, owner: Any) -> None:
        bug = awake()
        if bug == "ack before store":
            send(self, publication)
            owner.published(publication)
            return
        spoil = bug in ("drop", "duplicate", "swap") and due()
        if spoil and bug != "duplicate":
            if bug == "swap":
                held[publication.key] = publication
            owner.published(publication)
            return
        publish(self, publication, owner)
        if spoil:
            send(self, publication, **{MSG_ID: f"{publication.id} again"})
        if publication.key in held:
            send(self, held.pop(publication.key))

    Publisher.publish = spoilt  # type: ignore[method-assign]


def spoil_sweeps(awake: Awake) -> None:
    """Have the edge believe that it missed nothing while it was away."""
    from whimbrel.edge.shell.sweeps import Sweeps

    compare = Sweeps._compare

    async def spoilt(self: Any, lives: Any) -> None:
        if awake() == "skip sweeps":
            self._now.clear()
        else:
            await compare(self, lives)

    Sweeps._compare = spoilt  # type: ignore[method-assign]


# By name: which parts a schedule has to hit for the bug to show, none where it needs no fault.
BUGS: Final[dict[str, tuple[str, ...]]] = {
    "drop": (),
    "duplicate": (),
    "swap": (),
    "ack before store": ("nats", "leader"),
    "skip sweeps": ("wire-edge", "wire-edge-2"),
}


def plant(service: str, awake: Awake, one_in: int) -> None:
    """Build the bugs of ``service`` into this process."""
    if service == "notifier":
        spoil_publisher(awake, OneIn(one_in))
    elif service == "edge":
        spoil_sweeps(awake)
