"""What a client may ask of its session, and how often."""

from collections import Counter

import pytest

from tests.edge.people import (
    NOON,
    a_new_session,
    alice,
    an_open_session,
    close_code,
    frames,
    say,
)
from whimbrel.edge.core.effects import Execute, Send
from whimbrel.edge.core.intake import NOTHING_OWED
from whimbrel.edge.core.session import MAX_IN_FLIGHT
from whimbrel.protocol.namespaces import Grant


@pytest.mark.parametrize(
    ("channel", "code"), [("inbox", 103), ("user:bob", 103), ("group:vip", 103), ("orders:1", 103), ("nope:1", 102)]
)
def test_no_client_publishes_where_it_may_not(channel: str, code: int) -> None:
    everything = Grant(channel="*", allow=("publish", "subscribe"))
    grants = (everything,) if channel.startswith(("inbox", "user", "group")) else ()
    session = an_open_session("vip", who=alice("vip", grants=grants))
    publish = {"type": "publish", "id": 3, "channel": channel, "event": "x", "data": 1}
    [error] = frames(say(session, publish))
    assert error["code"] == code


def test_subscribers_publish_where_the_namespace_says_so() -> None:
    session = an_open_session(subscribed=("typing:1",))
    publish = {"type": "publish", "id": 3, "channel": "typing:1", "event": "x", "data": 1}
    [execute] = say(session, publish)
    assert isinstance(execute, Execute)
    [error] = frames(say(session, {**publish, "channel": "typing:2"}))
    assert error["code"] == 103


def test_publishing_too_fast_is_refused_with_the_time_to_wait() -> None:
    session = an_open_session(subscribed=("typing:1",), publish_per_s=1.0)
    publish = {"type": "publish", "id": 3, "channel": "typing:1", "event": "x", "data": 1}
    assert [type(effect) for effect in say(session, [publish, publish], now=1.0)] == [Execute, Execute]
    [error] = frames(say(session, publish, now=1.0))
    assert (error["id"], error["code"], error["temporary"], error["retry_ms"]) == (3, 109, True, 1000)
    assert [type(effect) for effect in say(session, publish, now=2.001)] == [Execute]


def test_all_sessions_of_a_user_draw_on_one_quota() -> None:
    first = an_open_session(requests_per_s=1.0)
    second = an_open_session()
    second.quotas = first.quotas
    history = {"type": "history", "id": 3, "channel": "inbox"}
    sent = [effect for session in (first, second) for effect in say(session, [history] * 3, now=10.0)]
    assert [type(effect) for effect in sent] == [Execute] * 5 + [Send]
    [error] = frames(sent)
    assert (error["code"], error["retry_ms"]) == (109, 1000)
    assert [type(effect) for effect in say(second, history, now=11.001)] == [Execute]


def test_more_frames_than_the_rate_are_refused_then_close() -> None:
    session = an_open_session(frames_per_s=2.0)
    unsubscribe = {"type": "unsubscribe", "id": 3, "channel": "orders:1"}
    asked = [frame for _ in range(20) for frame in frames(say(session, [unsubscribe, {"type": "ping"}], now=10.0))]
    assert [frame.get("code") for frame in asked] == [105, None] * 5 + [109] * 5 + [4009]
    assert asked[10]["retry_ms"] == 1001
    assert (asked[-1]["slug"], asked[-1]["after_ms"]) == ("rate_limited", 11_000)


def test_who_slows_down_is_served_again() -> None:
    session = an_open_session(frames_per_s=2.0)
    ping = [{"type": "ping"}]
    assert len(frames(say(session, ping * 10, now=10.0))) == 10
    refused = frames(say(session, [{"type": "history", "id": 3, "channel": "inbox"}], now=10.0))
    assert refused[0]["code"] == 109
    assert say(session, [{"type": "history", "id": 3, "channel": "inbox"}], now=10.0 + refused[0]["retry_ms"] / 1000)


def test_pings_of_the_transport_count_as_frames() -> None:
    session = an_open_session(frames_per_s=2.0)
    ends = [close_code(session.alive(now=10.0)) for _ in range(21)]
    assert ends == [None] * 20 + [4009]


def test_bytes_that_make_no_message_count_too() -> None:
    session = a_new_session(bytes_per_s=100.0)
    assert session.received(1000, now=0.0) == []
    assert close_code(session.received(1, now=0.0)) == 4009
    other = a_new_session(bytes_per_s=100.0)
    assert all(other.received(100, now=second) == [] for second in range(1000))


def test_a_session_that_has_grown_old_is_sent_to_reconnect() -> None:
    session = an_open_session(max_age=3600.0, ping=20_000.0)
    session.identity = alice(expires=NOON + 99_999)
    end = session.deadline(now=0.0, wall=NOON)
    assert 2700 <= end <= 3600
    assert not session.tick(now=end - 0.1, wall=NOON)
    effects = session.tick(now=end, wall=NOON)
    [disconnect] = frames(effects)
    assert (close_code(effects), disconnect["reconnect"], disconnect["after_ms"] <= 1000) == (4007, True, True)


def test_those_who_came_together_do_not_leave_together() -> None:
    ends = []
    for number in range(1000):
        session = an_open_session(ping=20_000.0, who=alice(expires=NOON + 99_999))
        session.id = f"session {number}"
        ends.append(session.deadline(now=0.0, wall=NOON))
    tenths = Counter(int((end - 2700) / 90) for end in ends)
    assert len(tenths) == 10
    assert max(tenths.values()) < 150, "in any tenth of the time about a tenth of them"


def test_an_idle_session_owes_nothing() -> None:
    session = an_open_session(ping=25.0)
    assert session._paid > 0
    session.tick(now=25.0, wall=NOON)
    assert session._paid is NOTHING_OWED


def test_only_so_many_requests_are_under_way() -> None:
    session = an_open_session(subscribed=("orders:1",))
    history = {"type": "history", "id": 3, "channel": "orders:1"}
    say(session, [history] * MAX_IN_FLIGHT)
    [error] = frames(say(session, history))
    assert error["code"] == 109
    session.finished()
    assert isinstance(say(session, history)[0], Execute)
