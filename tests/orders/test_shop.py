"""The shop by itself: what happens in it, without time, bus or page."""

from random import Random

import pytest

from orders.shop import OPEN_ORDERS, STATUSES, Shop


def a_shop() -> Shop:
    return Shop("run", first_id=100, random=Random(1))


def test_a_shop_that_opens_is_not_empty() -> None:
    board = a_shop().board()
    assert board["seq"] == 0
    assert {order["status"] for order in board["orders"]} == set(STATUSES)


def test_every_change_counts_one_further() -> None:
    shop = a_shop()
    assert [shop.carry_on().seq for _ in range(50)] == list(range(1, 51))


def test_an_order_goes_through_every_status_in_turn() -> None:
    shop = a_shop()
    order = shop.place("alice", "Wool socks").order.id
    changes = [change.order for change in (shop.carry_on() for _ in range(500)) if change.order.id == order]
    assert [change.status for change in changes] == list(STATUSES[1:])
    assert [change.version for change in changes] == [2, 3, 4, 5]


def test_the_shop_keeps_about_as_many_orders_in_hand() -> None:
    shop = a_shop()
    for _ in range(200):
        shop.carry_on()
        under_way = [order for order in shop.board()["orders"] if order["status"] != "delivered"]
        assert OPEN_ORDERS - 2 <= len(under_way) <= OPEN_ORDERS + 5


def test_what_the_shop_does_not_sell_cannot_be_ordered() -> None:
    with pytest.raises(KeyError):
        a_shop().place("alice", "Elephant")
