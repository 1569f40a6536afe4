"""Which transport is next."""

import pytest

from whimbrel.client.core.transports import (
    PROVEN_TRIES,
    Outlook,
    Preference,
    advised,
    first_outlook,
    never_opened,
    opened,
    without,
)


def failed(outlook: Outlook, times: int, *, unanswered: bool = False) -> Outlook:
    for _ in range(times):
        outlook = never_opened(outlook, unanswered=unanswered)
    return outlook


def test_a_websocket_that_never_opens_is_left_after_two_tries() -> None:
    begin = first_outlook("auto")
    assert failed(begin, 1).current == "websocket"
    assert failed(begin, 2).current == "sse"
    assert failed(begin, 4).current == "poll"


def test_one_that_has_no_answer_is_left_at_once() -> None:
    assert failed(first_outlook("auto"), 1, unanswered=True).current == "sse"


def test_one_that_has_opened_before_is_trusted_longer() -> None:
    proven = opened(first_outlook("auto"), "websocket")
    assert failed(proven, PROVEN_TRIES - 1, unanswered=True).current == "websocket"
    assert failed(proven, PROVEN_TRIES).current == "sse"


def test_where_nothing_opens_the_turn_goes_round() -> None:
    assert failed(first_outlook("auto"), 6).current == "websocket"


@pytest.mark.parametrize("forced", ["websocket", "sse", "poll"])
def test_a_forced_transport_is_never_left(forced: Preference) -> None:
    assert failed(first_outlook(forced), 9).current == forced
    assert advised(first_outlook(forced), ["websocket", "sse", "poll"], forced).order == (forced,)


def test_what_opens_begins_afresh() -> None:
    outlook = opened(failed(first_outlook("auto"), 5), "poll")
    assert (outlook.current, outlook.tries, outlook.is_best) == ("poll", 0, False)
    assert outlook.failing == {"websocket", "sse"}
    assert opened(outlook, "websocket").failing == {"sse"}


def test_a_transport_that_is_switched_off_leaves_the_others() -> None:
    left = without(first_outlook("auto"), "websocket")
    assert left is not None
    assert left.current == "sse"
    last = without(left, "sse")
    assert last is not None
    assert (last.current, without(last, "poll")) == ("poll", None)


def test_advice_orders_what_this_client_has() -> None:
    assert advised(first_outlook("auto"), ["poll", "websocket", "sse"], "auto").best == "poll"
    assert advised(first_outlook("auto"), ["poll"], "auto").order == ("poll",)


def test_advice_that_leaves_nothing_is_not_followed() -> None:
    assert advised(first_outlook("auto"), ["carrier-pigeon"], "auto").order == ("websocket", "sse", "poll")


def test_advice_can_bring_back_what_was_left_out() -> None:
    narrow = advised(first_outlook("auto"), ["poll"], "auto")
    assert advised(narrow, ["websocket", "poll"], "auto").order == ("websocket", "poll")
