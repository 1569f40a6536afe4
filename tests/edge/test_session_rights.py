"""A session follows what its user may do."""

from tests.edge.people import (
    NOON,
    RULES,
    alice,
    an_open_session,
    frames,
    say,
    the_open,
)
from whimbrel.edge.core.effects import Detach, Identified, Identify
from whimbrel.protocol.channels import Channel


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
