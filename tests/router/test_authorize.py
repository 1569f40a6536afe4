"""`authorize` says what the edge would do, and why."""

import pytest

from whimbrel.protocol.namespaces import Action, Grant
from whimbrel.protocol.rpc import AuthorizeReply, AuthorizeRequest
from whimbrel.router.core.authorize import authorize
from whimbrel.router.core.namespaces import parse

TABLE = parse(
    """
orders: {durable: true, subscribe: authenticated}
staff: {durable: true, subscribe: {groups: [staff]}}
typing: {durable: false, subscribe: authenticated, publish: subscribers}
closed: {durable: true, publish: subscribers}
"""
)
GRANT = Grant(channel="closed:a*", allow=("subscribe",))


def ask(
    channel: str, action: Action = "subscribe", *, groups: tuple[str, ...] = (), grants: tuple[Grant, ...] = ()
) -> str:
    request = AuthorizeRequest(user="alice", groups=groups, grants=grants, channel=channel, action=action)
    reply = authorize(TABLE, request, groups)
    assert reply.allowed is (reply.code == "ok")
    assert bool(reply.reason) is not reply.allowed
    return reply.code


@pytest.mark.parametrize(
    ("channel", "action", "code"),
    [
        ("orders:42", "subscribe", "ok"),
        ("orders:42", "history", "ok"),
        ("orders:42", "publish", "permission_denied"),
        ("staff:all", "subscribe", "permission_denied"),
        ("typing:42", "publish", "ok"),
        ("closed:a1", "publish", "permission_denied"),
        ("inbox", "subscribe", "ok"),
        ("inbox", "publish", "permission_denied"),
        ("user:alice", "subscribe", "permission_denied"),
        ("user:bob", "subscribe", "permission_denied"),
        ("group:vip", "subscribe", "permission_denied"),
        ("nowhere:1", "subscribe", "unknown_channel"),
        ("orders", "subscribe", "bad_request"),
        ("orders:>", "subscribe", "bad_request"),
        ("orders:4.2", "subscribe", "bad_request"),
        ("$SYS:x", "subscribe", "unknown_channel"),
        ("orders:$all", "subscribe", "unknown_channel"),
        ("", "subscribe", "bad_request"),
    ],
)
def test_a_question_gets_the_code_of_the_contract(channel: str, action: Action, code: str) -> None:
    assert ask(channel, action) == code


def test_groups_open_what_names_them() -> None:
    assert ask("staff:all", groups=("staff",)) == "ok"
    assert ask("group:vip", groups=("vip",)) == "ok"


def test_who_may_subscribe_may_publish_where_subscribers_may() -> None:
    assert ask("closed:a1", "publish", grants=(GRANT,)) == "ok"
    assert ask("closed:b1", "publish", grants=(GRANT,)) == "permission_denied"


def test_the_reason_says_what_to_do() -> None:
    request = AuthorizeRequest(user="alice", channel="nowhere:1", action="subscribe")
    assert authorize(TABLE, request, ()) == AuthorizeReply(
        allowed=False, code="unknown_channel", reason="No namespace of this name exists. Check the channel."
    )
