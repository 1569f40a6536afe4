"""The conversation with one client, without sockets or sleeps."""

import json

import pytest

from tests.edge.people import (
    NOON,
    a_new_session,
    a_publication,
    alice,
    an_open_session,
    close_code,
    frames,
    say,
    the_open,
)
from whimbrel.edge.core.effects import Close, Detach, Identified, Identify, Open, Rejected
from whimbrel.edge.core.entry import MAX_WAITING
from whimbrel.edge.core.states import State
from whimbrel.edge.core.subscription import NotOpened, Opened
from whimbrel.protocol.channels import Channel
from whimbrel.protocol.codes import CloseCode, ErrorCode
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
