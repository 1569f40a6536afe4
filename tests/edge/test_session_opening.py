"""What changes while a session's channels are on their way."""

from typing import Any

from tests.edge.people import (
    NOON,
    RULES,
    a_new_session,
    alice,
    an_open_session,
    close_code,
    frames,
    say,
    the_open,
)
from whimbrel.edge.core.effects import Identified, Identify, Open, Rejected
from whimbrel.edge.core.session import MAX_IN_FLIGHT, Session
from whimbrel.edge.core.states import State
from whimbrel.edge.core.subscription import Opened
from whimbrel.protocol.codes import CloseCode, ErrorCode
from whimbrel.protocol.namespaces import Namespace


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
    assert not session.tick(now=2, wall=NOON + 69)
    assert frames(session.tick(now=3, wall=NOON + 70)) == [{"type": "expiring", "in": 30}]


def test_a_token_without_a_group_closes_its_channel() -> None:
    who = alice("vip")._replace(token_groups=frozenset({"vip"}))
    session = an_open_session(who=who)
    effects = session.refreshed(Identified(alice(), None), 3, wall=NOON)
    assert [frame["type"] for frame in frames(effects)] == ["ok", "unsubscribed"]
