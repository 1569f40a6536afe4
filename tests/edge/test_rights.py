"""Who somebody is, and what they may do where."""

import pytest

from tests.edge.people import NOON, RULES, alice
from whimbrel.edge.core.identity import Identity
from whimbrel.edge.core.rights import action_of, permit, still_permitted
from whimbrel.protocol.channels import Channel
from whimbrel.protocol.codes import ErrorCode
from whimbrel.protocol.errors import Refused
from whimbrel.protocol.frames import Ack, History, Presence, Publish
from whimbrel.protocol.namespaces import Grant
from whimbrel.protocol.rpc import Claims


def an_identity(*, token_groups: tuple[str, ...] = (), groups: tuple[str, ...] = ()) -> Identity:
    claims = Claims(
        sub="alice", exp=int(NOON) + 60, iat=int(NOON), iss="whimbrel", jti="t1", groups=token_groups, channels=()
    )
    return Identity.of(claims).within(frozenset(groups))


# Identity


def test_an_identity_joins_what_the_token_and_the_router_say() -> None:
    identity = an_identity(token_groups=("staff",), groups=("vip",))
    assert identity.groups == {"staff", "vip"}
    assert identity.token_groups == {"staff"}
    assert (identity.user, identity.expires, identity.token_issued) == ("alice", int(NOON) + 60, int(NOON))


def test_a_group_that_the_token_names_stays_until_the_token_ends() -> None:
    identity = an_identity(token_groups=("staff",), groups=("vip",))
    assert identity.changed(joined=("new",), left=("vip", "staff")).groups == {"staff", "new"}


def test_a_change_that_is_told_twice_changes_nothing() -> None:
    once = an_identity(groups=("vip",)).changed(joined=("new",), left=("vip",))
    assert once.changed(joined=("new",), left=("vip",)) == once


def test_who_leaves_and_joins_in_one_breath_has_left() -> None:
    assert an_identity().changed(joined=("vip",), left=("vip",)).groups == frozenset()


# Permission


def test_the_inbox_means_the_users_own() -> None:
    assert permit(alice(), "subscribe", "inbox", RULES) == Channel("user", "alice")


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("user:alice", ErrorCode.PERMISSION_DENIED),
        ("user:bob", ErrorCode.PERMISSION_DENIED),
        ("group:vip", ErrorCode.PERMISSION_DENIED),
        ("secret:1", ErrorCode.PERMISSION_DENIED),
        ("nope:1", ErrorCode.UNKNOWN_CHANNEL),
        ("$SYS", ErrorCode.UNKNOWN_CHANNEL),
        ("orders:$JS", ErrorCode.UNKNOWN_CHANNEL),
        ("orders:a.b", ErrorCode.BAD_REQUEST),
        ("orders:>", ErrorCode.BAD_REQUEST),
        ("orders:*", ErrorCode.BAD_REQUEST),
        ("orders", ErrorCode.BAD_REQUEST),
        ("", ErrorCode.BAD_REQUEST),
        ("orders:" + "x" * 129, ErrorCode.BAD_REQUEST),
        ("orders:1\r\nPUB x 0", ErrorCode.BAD_REQUEST),
    ],
)
def test_a_refused_channel_gets_its_code(name: str, code: ErrorCode) -> None:
    with pytest.raises(Refused) as refusal:
        permit(alice(), "subscribe", name, RULES)
    assert refusal.value.code is code
    assert refusal.value.message


def test_a_grant_opens_what_the_namespace_does_not() -> None:
    granted = alice(grants=(Grant(channel="secret:eu:*", allow=("subscribe",)),))
    assert permit(granted, "subscribe", "secret:eu:1", RULES) == Channel("secret", "eu:1")
    with pytest.raises(Refused, match="may not subscribe secret:us:1"):
        permit(granted, "subscribe", "secret:us:1", RULES)
    with pytest.raises(Refused, match="may not history"):
        permit(granted, "history", "secret:eu:1", RULES)


def test_no_grant_opens_a_group_or_an_inbox_of_others() -> None:
    everything = Grant(channel="*", allow=("subscribe", "publish", "history", "presence"))
    for name in ("group:vip", "user:bob"):
        with pytest.raises(Refused):
            permit(alice(grants=(everything,)), "subscribe", name, RULES)
    with pytest.raises(Refused):
        permit(alice("vip", grants=(everything,)), "publish", "group:vip", RULES)


def test_subscribers_may_publish_where_the_namespace_says_so() -> None:
    assert permit(alice(), "publish", "typing:1", RULES, True) == Channel("typing", "1")
    with pytest.raises(Refused):
        permit(alice(), "publish", "typing:1", RULES, False)


def test_an_open_subscription_stays_as_long_as_its_right() -> None:
    assert still_permitted(alice(), Channel("user", "alice"), {})
    assert still_permitted(alice(), Channel("orders", "1"), RULES)
    assert not still_permitted(alice(), Channel("orders", "1"), {})
    assert still_permitted(alice("vip"), Channel("group", "vip"), RULES)
    assert not still_permitted(alice(), Channel("group", "vip"), RULES)


def test_a_user_whose_name_must_be_escaped_keeps_the_inbox() -> None:
    odd = alice()._replace(user="a.b*c>d é")
    inbox = permit(odd, "subscribe", "inbox", RULES)
    assert inbox.namespace == "user"
    assert "." not in inbox.name
    assert still_permitted(odd, inbox, RULES)


@pytest.mark.parametrize(
    ("frame", "action"),
    [
        (Publish(id=1, channel="orders:1", event="x", data=1), "publish"),
        (Ack(channel="orders:1", offset=1), "subscribe"),
        (History(id=1, channel="orders:1"), "history"),
        (Presence(id=1, channel="orders:1"), "presence"),
    ],
)
def test_each_request_needs_its_right(frame: Publish | Ack | History | Presence, action: str) -> None:
    assert action_of(frame) == action
