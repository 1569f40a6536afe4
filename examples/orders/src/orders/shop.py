"""The shop itself: orders that are placed, paid, packed, shipped and delivered. Knows nothing of Whimbrel.

Pure: chance is a parameter, time is added by whoever publishes.
"""

from dataclasses import asdict, dataclass, replace
from random import Random
from typing import Any, Final, Literal, get_args

Status = Literal["placed", "paid", "packed", "shipped", "delivered"]
STATUSES: Final[tuple[Status, ...]] = get_args(Status)

OPEN_ORDERS: Final = 12  # the shop keeps about as many in hand
DELIVERED_SHOWN: Final = 5  # delivered orders stay on the board until newer ones push them off
ITEMS: Final = {
    "Binoculars 8×42": 249.0,
    "Field notebook": 14.5,
    "Thermos flask": 32.0,
    "Wool socks": 18.0,
    "Rain jacket": 129.0,
    "Map of the mudflats": 11.9,
    "Bird feeder": 27.5,
    "Head torch": 44.0,
    "Spotting scope": 389.0,
    "Rubber boots": 59.0,
    "Tide table": 8.9,
    "Folding stool": 36.0,
}
CUSTOMERS: Final = ("alice", "alice", "alice", "bob", "bob", "bob", "carol", "dina", "emil")


@dataclass(frozen=True)
class Order:
    """One order. ``version`` counts its changes; ``total`` is in euros."""

    id: str
    customer: str
    item: str
    total: float
    status: Status
    version: int


@dataclass(frozen=True)
class Change:
    """What happened to an order: the order after it, and the shop's count of changes."""

    order: Order
    seq: int

    @property
    def type(self) -> str:
        """The event's type, e.g. ``order.shipped``."""
        return f"order.{self.order.status}"


class Shop:
    """All orders on the board. ``run`` tells one life of the shop from the next: its counts begin anew."""

    def __init__(self, run: str, first_id: int, random: Random) -> None:
        self.run = run
        self.seq = 0
        self._next_id = first_id
        self._random = random
        self._orders: dict[str, Order] = {}
        for _ in range(OPEN_ORDERS + DELIVERED_SHOWN):  # of the days before: a shop that opens is not empty
            self._take_over(random.choice(STATUSES))

    def place(self, customer: str, item: str) -> Change:
        """Take a new order.

        Raises KeyError for what the shop does not sell.
        """
        order = Order(str(self._next_id), customer, item, ITEMS[item], "placed", 1)
        self._next_id += 1
        return self._changed(order)

    def carry_on(self) -> Change:
        """Let the next thing happen: an order is placed while few are in hand, otherwise one moves on."""
        under_way = [order for order in self._orders.values() if order.status != "delivered"]
        if len(under_way) < OPEN_ORDERS:
            return self.place(self._random.choice(CUSTOMERS), self._random.choice(list(ITEMS)))
        order = self._random.choice(under_way)
        following = STATUSES[STATUSES.index(order.status) + 1]
        return self._changed(replace(order, status=following, version=order.version + 1))

    def board(self) -> dict[str, Any]:
        """Return the state that a page loads first: every order, and the count that it reflects."""
        return {"run": self.run, "seq": self.seq, "orders": [asdict(order) for order in self._orders.values()]}

    def find(self, order_id: str) -> Order | None:
        """Return one order of the board."""
        return self._orders.get(order_id)

    def _take_over(self, status: Status) -> None:
        item = self._random.choice(list(ITEMS))
        customer = self._random.choice(CUSTOMERS)
        order = Order(str(self._next_id), customer, item, ITEMS[item], status, STATUSES.index(status) + 1)
        self._orders[order.id] = order
        self._next_id += 1

    def _changed(self, order: Order) -> Change:
        self.seq += 1
        self._orders.pop(order.id, None)  # the latest change comes last
        self._orders[order.id] = order
        delivered = [each.id for each in self._orders.values() if each.status == "delivered"]
        for old in delivered[:-DELIVERED_SHOWN]:
            del self._orders[old]
        return Change(order, self.seq)
