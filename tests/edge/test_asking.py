"""Which channels a request over HTTP asks for, and from where."""

from whimbrel.edge.core.asking import from_cursor
from whimbrel.protocol.limits import MAX_CHANNELS
from whimbrel.protocol.positions import Position


def at(offset: int) -> Position:
    return Position(epoch="e1", offset=offset)


CURSOR = {"orders:1": at(1), "orders:2": at(2), "inbox": at(3), "group:vip": at(4), "typing:1": None}


def test_a_named_channel_goes_on_from_the_cursor() -> None:
    assert from_cursor({"orders:1": None, "orders:9": None}, {"orders:1": at(1)}) == {
        "orders:1": at(1),
        "orders:9": None,
    }


def test_who_names_no_channel_gets_those_of_the_cursor() -> None:
    assert from_cursor({}, CURSOR) == CURSOR


def test_the_routers_own_channels_go_on_though_others_are_named() -> None:
    assert from_cursor({"orders:2": None}, CURSOR) == {"orders:2": at(2), "inbox": at(3), "group:vip": at(4)}


def test_a_position_that_the_request_names_counts_more() -> None:
    assert from_cursor({"orders:1": at(9)}, CURSOR)["orders:1"] == at(9)


def test_no_more_channels_than_a_session_holds_are_asked_for() -> None:
    named = {f"orders:{n}": None for n in range(MAX_CHANNELS - 1)}
    asked = from_cursor(named, CURSOR)
    assert len(asked) == MAX_CHANNELS
    assert named.keys() < asked.keys()
