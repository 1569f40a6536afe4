"""What time asks of a session, and how long it waits for its client."""

from tests.edge.people import (
    NOON,
    a_new_session,
    alice,
    an_open_session,
    close_code,
    frames,
    say,
)
from whimbrel.edge.core.effects import Detach, Send
from whimbrel.edge.core.session import PING
from whimbrel.protocol.channels import Channel
from whimbrel.protocol.codes import CloseCode


def test_a_client_that_says_nothing_is_closed_even_if_it_pings() -> None:
    session = a_new_session(connect_timeout=8)
    say(session, {"type": "ping"}, now=7)
    assert session.deadline(now=7, wall=NOON) == 8
    assert close_code(session.tick(now=8, wall=NOON)) == 4003


def test_services_that_do_not_answer_in_time_are_no_fault_of_the_client() -> None:
    session = a_new_session(connect_timeout=8)
    say(session, {"type": "connect", "id": 1, "token": "t"})
    assert close_code(session.tick(now=8, wall=NOON)) == 4006


def test_a_silent_client_is_pinged_then_closed() -> None:
    session = an_open_session(ping=25, pong=10)
    assert not session.tick(now=24, wall=NOON)
    assert session.tick(now=25, wall=NOON) == (Send(PING),)
    assert session.deadline(now=25, wall=NOON) == 35
    assert close_code(session.tick(now=35, wall=NOON)) == 4001


def test_any_frame_counts_as_life() -> None:
    session = an_open_session(ping=25, pong=10)
    session.tick(now=25, wall=NOON)
    say(session, {"type": "pong"}, now=34)
    assert not session.tick(now=35, wall=NOON)
    assert session.deadline(now=35, wall=NOON) == 34 + 25


def test_an_expiring_token_is_announced_once_then_closes() -> None:
    session = an_open_session(who=alice(expires=NOON + 60))
    assert not session.tick(now=1, wall=NOON + 29)
    assert session.deadline(now=1, wall=NOON + 29) == 2
    assert frames(session.tick(now=1, wall=NOON + 31)) == [{"type": "expiring", "in": 29}]
    assert not session.tick(now=1, wall=NOON + 32)
    assert not session.tick(now=1, wall=NOON + 84)
    assert session.deadline(now=1, wall=NOON + 84) == 2
    assert close_code(session.tick(now=1, wall=NOON + 85)) == 4010


def test_who_is_told_to_move_is_served_until_the_session_closes() -> None:
    session = an_open_session(subscribed=("orders:1",))
    [told] = frames(session.leaving(1500))
    assert (told["type"], told["code"], told["after_ms"], told["reconnect"]) == ("disconnect", 4000, 1500, True)
    assert frames(say(session, {"type": "ping"})) == [{"type": "pong"}]
    effects = session.close(CloseCode.DRAINING, "leaving")
    assert frames(effects)[0]["after_ms"] == 0
    assert Detach(Channel("orders", "1")) in effects
    assert session.close(CloseCode.DRAINING, "leaving") == session.leaving(1) == []
    assert say(session, {"type": "ping"}) == []
