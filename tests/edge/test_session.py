"""The conversation with one client, without sockets or sleeps."""

import json
from collections import Counter
from typing import Any

import pytest

from tests.edge.people import (
    NOON,
    RULES,
    a_new_session,
    a_publication,
    alice,
    an_open_session,
    close_code,
    frames,
    say,
    the_open,
)
from whimbrel.edge.core.effects import Close, Detach, Execute, Identified, Identify, Open, Rejected, Send
from whimbrel.edge.core.entry import MAX_WAITING
from whimbrel.edge.core.intake import NOTHING_OWED
from whimbrel.edge.core.session import MAX_IN_FLIGHT, PING, Session
from whimbrel.edge.core.states import State
from whimbrel.edge.core.subscription import NotOpened, Opened
from whimbrel.protocol.channels import Channel
from whimbrel.protocol.codes import CloseCode, ErrorCode
from whimbrel.protocol.namespaces import Grant, Namespace
from whimbrel.protocol.positions import Position

# Connecting


def test_a_connect_is_checked_then_its_channels_open_then_it_is_answered() -> None:
    session = a_new_session()
    assert say(session, {"type": "connect", "id": 7, "token": "abc", "channels": {"orders:42": None}}) == [
        Identify("abc", None)
    ]
    wanted = the_open(session.identified(Identified(alice("vip"), "grant-1"), wall=NOON)).wanted
    assert [(each.name, str(each.channel)) for each in wanted] == [
        ("inbox", "user:alice"),
        ("group:vip", "group:vip"),
        ("orders:42", "orders:42"),
    ]
    [connected] = frames(session.opened({each.name: Opened("e1", 3) for each in wanted}, 0, now=0, wall=NOON))
    assert connected["type"] == "connected"
    assert connected["id"] == 7
    assert connected["user"] == "alice"
    assert connected["expires_in"] == 3600
    assert connected["resume"] == "grant-1"
    assert connected["channels"]["orders:42"] == {"epoch": "e1", "offset": 3, "publications": []}
    assert set(connected["channels"]) == {"inbox", "group:vip", "orders:42"}


def test_the_inbox_starts_from_the_read_mark_unless_a_position_is_given() -> None:
    session = a_new_session()
    say(session, {"type": "connect", "id": 1, "token": "t"})
    [inbox] = the_open(session.identified(Identified(alice(), None), wall=NOON)).wanted
    assert inbox.from_mark

    session = a_new_session()
    say(session, {"type": "connect", "id": 1, "token": "t", "channels": {"inbox": {"epoch": "e1", "offset": 5}}})
    [inbox] = the_open(session.identified(Identified(alice(), None), wall=NOON)).wanted
    assert not inbox.from_mark
    assert inbox.position is not None


@pytest.mark.parametrize(
    ("channel", "code"),
    [("nope:1", 102), ("secret:1", 103), ("user:bob", 103), ("user:alice", 103), ("group:vip", 103), ("orders:*", 107)],
)
def test_a_channel_that_connect_may_not_have_is_refused_by_itself(channel: str, code: int) -> None:
    session = a_new_session()
    say(session, {"type": "connect", "id": 1, "token": "t", "channels": {channel: None, "orders:1": None}})
    wanted = the_open(session.identified(Identified(alice(), None), wall=NOON)).wanted
    [connected] = frames(session.opened({each.name: Opened("e1", 0) for each in wanted}, 0, now=0, wall=NOON))
    assert connected["channels"][channel]["error"]["code"] == code
    assert "error" not in connected["channels"]["orders:1"]


def test_a_refused_name_cannot_break_out_of_the_frame() -> None:
    session = a_new_session()
    evil = 'x":{},"y\\'
    say(session, {"type": "connect", "id": 1, "token": "t", "channels": {evil: None}})
    wanted = the_open(session.identified(Identified(alice(), None), wall=NOON)).wanted
    [connected] = frames(session.opened({each.name: Opened("e1", 0) for each in wanted}, 0, now=0, wall=NOON))
    assert set(connected["channels"]) == {"inbox", evil}


def test_a_rejected_token_closes_with_its_code_after_a_disconnect() -> None:
    session = a_new_session()
    say(session, {"type": "connect", "id": 1, "token": "t"})
    rejected = Rejected(CloseCode.UNAUTHORIZED, ErrorCode.UNAUTHORIZED, "forged")
    effects = session.identified(rejected, wall=NOON)
    assert frames(effects) == [
        {
            "type": "disconnect",
            "code": 4501,
            "slug": "unauthorized",
            "reason": "forged",
            "reconnect": False,
            "after_ms": 0,
        }
    ]
    assert effects[-1] == Close(CloseCode.UNAUTHORIZED)


def test_a_connect_without_any_credentials_is_unauthorized() -> None:
    assert close_code(say(a_new_session(), {"type": "connect", "id": 1})) == 4501


def test_a_bearer_header_stands_in_for_the_token() -> None:
    session = a_new_session()
    session.present(Identified(alice(), "grant-1"))
    assert the_open(say(session, {"type": "connect", "id": 1})).wanted[0].name == "inbox"


def test_frames_before_connect_are_refused_and_change_nothing() -> None:
    session = a_new_session()
    [error] = frames(say(session, {"type": "subscribe", "id": 4, "channel": "orders:1"}))
    assert (error["id"], error["code"]) == (4, 101)
    assert session.state is State.AWAITING_CONNECT


def test_frames_sent_behind_connect_wait_for_connected() -> None:
    session = a_new_session()
    say(session, {"type": "connect", "id": 1, "token": "t"})
    assert say(session, {"type": "subscribe", "id": 2, "channel": "orders:1"}) == []
    session.identified(Identified(alice(), None), wall=NOON)
    effects = session.opened({"inbox": Opened("e1", 0)}, 0, now=0, wall=NOON)
    assert frames(effects)[0]["type"] == "connected"
    assert the_open(effects).wanted[0].name == "orders:1"


def test_only_so_many_frames_may_wait_for_connected() -> None:
    session = a_new_session()
    say(session, {"type": "connect", "id": 1, "token": "t"})
    subscribe = {"type": "subscribe", "id": 2, "channel": "orders:1"}
    assert close_code(say(session, [subscribe] * MAX_WAITING)) is None
    assert close_code(say(session, subscribe)) == 4009


def test_a_second_connect_is_refused() -> None:
    [error] = frames(say(an_open_session(), {"type": "connect", "id": 9, "token": "t"}))
    assert (error["id"], error["code"]) == (9, 107)


# Bad input


@pytest.mark.parametrize("message", [b"", b"nope", b"{", b"1", b'"text"', b"[1]", b"\xff\xfe", b"[" * 20_000])
def test_what_is_no_frame_closes_the_connection(message: bytes) -> None:
    assert close_code(say(an_open_session(), message)) == 4500


def test_a_frame_over_the_limit_closes_the_connection() -> None:
    session = an_open_session(frame_bytes=100)
    assert close_code(say(session, json.dumps({"type": "ping", "pad": "x" * 100}).encode())) == 4504


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "dance", "id": 5},
        {"id": 5},
        {"type": "subscribe", "id": 5},
        {"type": "subscribe", "id": 5, "channel": 42},
        {"type": "subscribe", "id": 5, "channel": "orders:a.b"},
        {"type": "subscribe", "id": 5, "channel": "orders:>"},
        {"type": "subscribe", "id": 5, "channel": "orders:1", "last": 201},
        {"type": "subscribe", "id": 5, "channel": "orders:1", "position": {"epoch": "e", "offset": -1}},
    ],
)
def test_a_frame_that_breaks_its_schema_earns_107_and_the_connection_lives(frame: dict[str, object]) -> None:
    session = an_open_session()
    [error] = frames(say(session, frame))
    assert (error["type"], error["id"], error["code"]) == ("error", 5, 107)
    assert session.state is State.OPEN


def test_unknown_fields_are_ignored() -> None:
    assert frames(say(an_open_session(), {"type": "ping", "new": {"field": 1}})) == [{"type": "pong"}]


def test_each_frame_of_an_array_is_answered() -> None:
    session = an_open_session()
    answers = frames(say(session, [{"type": "ping"}, {"type": "dance", "id": 2}, {"type": "ping"}]))
    assert [answer["type"] for answer in answers] == ["pong", "error", "pong"]


# Channels


def test_a_subscribe_opens_its_channel_and_is_answered_with_its_id() -> None:
    session = an_open_session()
    opened = the_open(say(session, {"type": "subscribe", "id": 3, "channel": "orders:1", "last": 2}))
    assert (opened.request, opened.wanted[0].last) == (3, 2)
    publications = [a_publication(5, 2), a_publication(9, 5)]
    [subscribed] = frames(session.opened({"orders:1": Opened("e1", 2, None, publications)}, 3, now=0, wall=NOON))
    assert (subscribed["id"], subscribed["offset"]) == (3, 2)
    assert [each["offset"] for each in subscribed["publications"]] == [5, 9]
    assert "recovered" not in subscribed


def test_a_channel_that_cannot_be_opened_may_be_tried_again() -> None:
    session = an_open_session()
    say(session, {"type": "subscribe", "id": 3, "channel": "orders:1"})
    refused = NotOpened(ErrorCode.UNAVAILABLE, "later")
    [subscribed] = frames(session.opened({"orders:1": refused}, 3, now=0, wall=NOON))
    assert subscribed["error"]["code"] == 108
    assert the_open(say(session, {"type": "subscribe", "id": 4, "channel": "orders:1"})).request == 4


def test_a_channel_is_opened_once() -> None:
    session = an_open_session(subscribed=("orders:1",))
    [error] = frames(say(session, {"type": "subscribe", "id": 3, "channel": "orders:1"}))
    assert error["code"] == 104


@pytest.mark.parametrize("channel", ["orders:1", "inbox"])
def test_a_client_that_found_a_gap_subscribes_again_from_its_position(channel: str) -> None:
    session = an_open_session(subscribed=("orders:1",))
    position = {"epoch": "e1", "offset": 4}
    detach, again = say(session, {"type": "subscribe", "id": 3, "channel": channel, "position": position})
    assert detach == Detach(session.subscriptions.channels[channel])
    assert isinstance(again, Open)
    assert again.wanted[0].position == Position(epoch="e1", offset=4)
    [subscribed] = frames(session.opened({channel: Opened("e1", 4, recovered=True)}, 3, now=0, wall=NOON))
    assert (subscribed["id"], subscribed["recovered"]) == (3, True)


def test_a_session_holds_so_many_channels() -> None:
    session = an_open_session(channels=2)  # the inbox counts
    say(session, {"type": "subscribe", "id": 3, "channel": "orders:1"})
    [error] = frames(say(session, {"type": "subscribe", "id": 4, "channel": "orders:2"}))
    assert error["code"] == 106


def test_connect_opens_no_more_channels_than_a_session_holds() -> None:
    session = a_new_session(channels=2)
    say(session, {"type": "connect", "id": 1, "token": "t", "channels": {"orders:1": None, "orders:2": None}})
    wanted = the_open(session.identified(Identified(alice(), None), wall=NOON)).wanted
    assert [each.name for each in wanted] == ["inbox", "orders:1"]
    [connected] = frames(session.opened({each.name: Opened("e1", 0) for each in wanted}, 0, now=0, wall=NOON))
    assert connected["channels"]["orders:2"]["error"]["code"] == 106


def test_unsubscribe_detaches_and_is_confirmed() -> None:
    session = an_open_session(subscribed=("orders:1",))
    effects = say(session, {"type": "unsubscribe", "id": 3, "channel": "orders:1"})
    assert effects[0] == Detach(Channel("orders", "1"))
    assert frames(effects) == [{"type": "ok", "id": 3}]
    [error] = frames(say(session, {"type": "unsubscribe", "id": 4, "channel": "orders:1"}))
    assert error["code"] == 105


def test_the_inbox_cannot_be_left() -> None:
    [error] = frames(say(an_open_session(), {"type": "unsubscribe", "id": 3, "channel": "inbox"}))
    assert error["code"] == 107


# Requests


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
    assert session.tick(now=end - 0.1, wall=NOON) == []
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


# Rights


def test_a_joined_group_opens_its_channel_and_a_left_one_closes_it() -> None:
    session = an_open_session("old")
    effects = session.rights_changed(Identified(alice("new"), "grant-2"))
    assert Detach(Channel("group", "old")) in effects
    assert the_open(effects).wanted[0].name == "group:new"
    closed, resume = frames(effects)
    assert (closed["type"], closed["channel"], closed["code"]) == ("unsubscribed", "group:old", 103)
    assert resume == {"type": "resume", "grant": "grant-2"}


def test_the_inbox_survives_every_change_of_rights() -> None:
    session = an_open_session("vip")
    session.rights_changed(Identified(alice(), None))
    assert set(session.subscriptions.channels) == {"inbox"}


def test_a_namespace_that_goes_closes_its_channels() -> None:
    session = an_open_session(subscribed=("orders:1",))
    session.rules = {name: rule for name, rule in RULES.items() if name != "orders"}
    assert frames(session.rules_changed())[0]["channel"] == "orders:1"


def test_a_refresh_renews_in_place_for_the_same_user_only() -> None:
    session = an_open_session()
    assert say(session, {"type": "refresh", "id": 3, "token": "new"}) == [Identify("new", None, refresh_id=3)]
    renewed = session.refreshed(Identified(alice(expires=NOON + 7200), "g"), 3, wall=NOON)
    assert frames(renewed)[0] == {"type": "ok", "id": 3, "expires_in": 7200}

    bob = Identified(alice()._replace(user="bob"), None)
    [error] = frames(session.refreshed(bob, 4, wall=NOON))
    assert (error["id"], error["code"]) == (4, 101)
    assert session.identity is not None
    assert session.identity.user == "alice"


def test_other_devices_are_told_of_an_ack_but_not_the_one_that_sent_it() -> None:
    session = an_open_session()
    inbox = Channel("user", "alice")
    assert frames(session.acked(inbox, 9, "another")) == [{"type": "acked", "channel": "inbox", "offset": 9}]
    assert session.acked(inbox, 9, session.id) == []


# Time


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
    assert session.tick(now=24, wall=NOON) == []
    assert session.tick(now=25, wall=NOON) == [Send(PING)]
    assert session.deadline(now=25, wall=NOON) == 35
    assert close_code(session.tick(now=35, wall=NOON)) == 4001


def test_any_frame_counts_as_life() -> None:
    session = an_open_session(ping=25, pong=10)
    session.tick(now=25, wall=NOON)
    say(session, {"type": "pong"}, now=34)
    assert session.tick(now=35, wall=NOON) == []
    assert session.deadline(now=35, wall=NOON) == 34 + 25


def test_an_expiring_token_is_announced_once_then_closes() -> None:
    session = an_open_session(who=alice(expires=NOON + 60))
    assert session.tick(now=1, wall=NOON + 29) == []
    assert session.deadline(now=1, wall=NOON + 29) == 2
    assert frames(session.tick(now=1, wall=NOON + 31)) == [{"type": "expiring", "in": 29}]
    assert session.tick(now=1, wall=NOON + 32) == []
    assert session.tick(now=1, wall=NOON + 84) == []
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


# While channels are being opened


def a_connecting_session(*groups: str, asked: tuple[str, ...] = (), **terms: Any) -> tuple[Session, Open]:
    """Return a session of alice that waits for its channels, and the effect that asked for them."""
    session = a_new_session(**terms)
    say(session, {"type": "connect", "id": 1, "token": "t", "channels": dict.fromkeys(asked)})
    return session, the_open(session.identified(Identified(alice(*groups), "grant-1"), wall=NOON))


def test_a_group_that_was_left_while_connect_was_answered_is_not_opened() -> None:
    session, opening = a_connecting_session("vip", "staff")
    assert session.rights_changed(Identified(alice("staff"), "grant-2")) == []
    assert not session.subscriptions.awaits("group:vip", opening)
    opened = {each.name: Opened("e1", 0) for each in opening.wanted if session.subscriptions.awaits(each.name, opening)}
    [connected] = frames(session.opened(opened, 0, now=0, wall=NOON))
    assert set(connected["channels"]) == {"inbox", "group:staff"}
    assert connected["resume"] == "grant-2"


def test_a_group_that_was_joined_while_connect_was_answered_is_opened_behind_it() -> None:
    session, opening = a_connecting_session()
    session.rights_changed(Identified(alice("vip"), "grant-2"))
    effects = session.opened({each.name: Opened("e1", 0) for each in opening.wanted}, 0, now=0, wall=NOON)
    assert frames(effects)[0]["type"] == "connected"
    assert [each.name for each in the_open(effects).wanted] == ["group:vip"]


def test_a_channel_that_a_namespace_closed_meanwhile_is_refused_in_connected() -> None:
    session, opening = a_connecting_session(asked=("orders:1", "typing:1"))
    session.rules = {**RULES, "orders": Namespace(durable=True)}
    assert session.rules_changed() == []
    opened = {each.name: Opened("e1", 0) for each in opening.wanted if session.subscriptions.awaits(each.name, opening)}
    [connected] = frames(session.opened(opened, 0, now=0, wall=NOON))
    assert connected["channels"]["orders:1"]["error"]["code"] == 103
    assert "error" not in connected["channels"]["typing:1"]
    assert set(session.subscriptions.channels) == {"inbox", "typing:1"}


def test_rights_that_change_between_the_upgrade_and_connect_count() -> None:
    session = a_new_session()
    session.present(Identified(alice("vip"), "grant-1"))
    assert session.rights_changed(Identified(alice("staff"), "grant-2")) == []
    wanted = the_open(say(session, {"type": "connect", "id": 1})).wanted
    assert [each.name for each in wanted] == ["inbox", "group:staff"]


def test_a_presented_token_that_expired_before_connect_is_refused() -> None:
    session = a_new_session()
    session.present(Identified(alice(expires=NOON + 5), "grant-1"))
    assert close_code(say(session, {"type": "connect", "id": 1}, wall=NOON + 6)) == 4010


def test_unsubscribing_from_a_channel_on_its_way_answers_both_requests() -> None:
    session = an_open_session()
    first = the_open(say(session, {"type": "subscribe", "id": 3, "channel": "orders:1"}))
    error, ok = frames(say(session, {"type": "unsubscribe", "id": 4, "channel": "orders:1"}))
    assert (error["type"], error["id"], error["code"]) == ("error", 3, 105)
    assert ok == {"type": "ok", "id": 4}
    assert not session.subscriptions.awaits("orders:1", first)


def test_a_channel_that_is_asked_for_again_awaits_the_second_opening_only() -> None:
    session = an_open_session()
    first = the_open(say(session, {"type": "subscribe", "id": 3, "channel": "orders:1"}))
    say(session, {"type": "unsubscribe", "id": 4, "channel": "orders:1"})
    second = the_open(say(session, {"type": "subscribe", "id": 5, "channel": "orders:1"}))
    assert not session.subscriptions.awaits("orders:1", first)
    assert session.subscriptions.awaits("orders:1", second)
    session.opened({"orders:1": Opened("e1", 0)}, 5, now=0, wall=NOON)
    assert not session.subscriptions.awaits("orders:1", second)


def test_a_subscribe_that_loses_its_right_on_the_way_is_refused() -> None:
    session = an_open_session()
    opening = the_open(say(session, {"type": "subscribe", "id": 3, "channel": "orders:1"}))
    session.rules = {**RULES, "orders": Namespace(durable=True)}
    [subscribed] = frames(session.rules_changed())
    assert (subscribed["type"], subscribed["id"], subscribed["error"]["code"]) == ("subscribed", 3, 103)
    assert not session.subscriptions.awaits("orders:1", opening)


def test_a_group_that_is_left_before_its_channel_is_open_is_not_mentioned() -> None:
    session = an_open_session()
    opening = the_open(session.rights_changed(Identified(alice("vip"), None)))
    assert session.rights_changed(Identified(alice(), None)) == []
    assert not session.subscriptions.awaits("group:vip", opening)


def test_nothing_is_awaited_in_a_closed_session() -> None:
    session = an_open_session()
    opening = the_open(say(session, {"type": "subscribe", "id": 3, "channel": "orders:1"}))
    session.lost()
    assert not session.subscriptions.awaits("orders:1", opening)
    assert session.opened({"orders:1": Opened("e1", 0)}, 3, now=0, wall=NOON) == []


def test_groups_over_the_limit_are_told_and_not_opened() -> None:
    session, opening = a_connecting_session("a", "b", "c", channels=3)
    assert [each.name for each in opening.wanted] == ["inbox", "group:a", "group:b"]
    connected, refused = frames(
        session.opened({each.name: Opened("e1", 0) for each in opening.wanted}, 0, now=0, wall=NOON)
    )
    assert connected["type"] == "connected"
    assert (refused["type"], refused["channel"], refused["error"]["code"]) == ("subscribed", "group:c", 106)

    [refused, _] = frames(session.rights_changed(Identified(alice("a", "b", "d"), "g")))
    assert (refused["channel"], refused["error"]["code"]) == ("group:d", 106)


def test_only_so_many_refreshes_are_under_way() -> None:
    session = an_open_session()
    refresh = {"type": "refresh", "id": 3, "token": "new"}
    assert [type(each) for each in say(session, [refresh] * MAX_IN_FLIGHT)] == [Identify] * MAX_IN_FLIGHT
    [error] = frames(say(session, refresh))
    assert (error["id"], error["code"]) == (3, 109)
    session.refreshed(Rejected(CloseCode.UNAUTHORIZED, ErrorCode.UNAUTHORIZED, "forged"), 3, wall=NOON)
    assert say(session, refresh) == [Identify("new", None, refresh_id=3)]


def test_a_refused_refresh_leaves_the_session_as_it_was() -> None:
    session = an_open_session("vip")
    say(session, {"type": "refresh", "id": 3, "token": "forged"})
    rejected = Rejected(CloseCode.REVOKED, ErrorCode.UNAUTHORIZED, "revoked")
    [error] = frames(session.refreshed(rejected, 3, wall=NOON))
    assert (error["id"], error["code"], error["message"]) == (3, 101, "revoked")
    assert session.state is State.OPEN
    assert set(session.subscriptions.channels) == {"inbox", "group:vip"}


def test_a_refreshed_token_is_announced_again_before_it_expires() -> None:
    session = an_open_session(who=alice(expires=NOON + 20))
    assert frames(session.tick(now=1, wall=NOON)) == [{"type": "expiring", "in": 20}]
    session.refreshed(Identified(alice(expires=NOON + 100), None), 3, wall=NOON)
    assert session.tick(now=2, wall=NOON + 69) == []
    assert frames(session.tick(now=3, wall=NOON + 70)) == [{"type": "expiring", "in": 30}]


def test_a_token_without_a_group_closes_its_channel() -> None:
    who = alice("vip")._replace(token_groups=frozenset({"vip"}))
    session = an_open_session(who=who)
    effects = session.refreshed(Identified(alice(), None), 3, wall=NOON)
    assert [frame["type"] for frame in frames(effects)] == ["ok", "unsubscribed"]
