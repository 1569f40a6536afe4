"""Who may do what: properties that no rule and no grant can change, and the rules themselves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.protocol.strategies import channels, names, texts
from whimbrel.protocol.channels import Channel, group_channel, inbox_of
from whimbrel.protocol.codes import ErrorCode
from whimbrel.protocol.namespaces import ROUTER_OWNED, Action, Grant, Groups, Namespace, Verdict, decide

ACTIONS: tuple[Action, ...] = ("subscribe", "publish", "history", "presence")
actions = st.sampled_from(ACTIONS)
groups = st.lists(texts.filter(bool), max_size=3)
patterns = st.one_of(
    st.just("*"),
    channels.map(str),
    st.sampled_from(["user:*", "group:*", "user:alice", "user:a*", "group:vip", "orders:*", "inbox"]),
)
grants = st.lists(st.builds(Grant, channel=patterns, allow=st.lists(actions, max_size=4).map(tuple)), max_size=4)
who = st.one_of(
    st.sampled_from(["nobody", "authenticated"]),
    st.builds(Groups, groups=st.lists(texts, min_size=1, max_size=3).map(tuple)),
)
rules = st.builds(Namespace, durable=st.just(True), subscribe=who, publish=who | st.just("subscribers"), history=who)
tables = st.dictionaries(st.sampled_from(["orders", "user", "group"]), rules)


@given(
    namespaces=tables, action=actions, user=texts, other=texts, groups=groups, grants=grants, subscribed=st.booleans()
)
def test_no_rule_and_no_grant_opens_anothers_inbox(
    namespaces: dict[str, Namespace],
    action: Action,
    user: str,
    other: str,
    groups: list[str],
    grants: list[Grant],
    subscribed: bool,
) -> None:
    verdict = decide(
        namespaces, action, inbox_of(other), user=user, groups=groups, grants=grants, subscribed=subscribed
    )
    assert verdict == ("allowed" if user == other and action != "publish" else ErrorCode.PERMISSION_DENIED)


@given(namespaces=tables, user=texts, name=names, groups=groups, grants=grants, subscribed=st.booleans())
def test_nobody_publishes_to_a_user_or_a_group(
    namespaces: dict[str, Namespace],
    user: str,
    name: str,
    groups: list[str],
    grants: list[Grant],
    subscribed: bool,
) -> None:
    for namespace in ROUTER_OWNED:
        channel = Channel(namespace, name)
        verdict = decide(namespaces, "publish", channel, user=user, groups=groups, grants=grants, subscribed=subscribed)
        assert verdict == ErrorCode.PERMISSION_DENIED


@given(namespaces=tables, action=actions, group=texts, user=texts, groups=groups, grants=grants)
def test_a_groups_channel_is_its_members_alone(
    namespaces: dict[str, Namespace], action: Action, group: str, user: str, groups: list[str], grants: list[Grant]
) -> None:
    verdict = decide(namespaces, action, group_channel(group), user=user, groups=groups, grants=grants)
    assert (verdict == "allowed") == (group in groups and action != "publish")


@given(action=actions, channel=channels, user=texts, groups=groups, grants=grants)
def test_a_namespace_that_does_not_exist_is_unknown_even_to_a_grant(
    action: Action, channel: Channel, user: str, groups: list[str], grants: list[Grant]
) -> None:
    if channel.namespace not in ROUTER_OWNED:
        verdict = decide({}, action, channel, user=user, groups=groups, grants=grants)
        assert verdict == ErrorCode.UNKNOWN_CHANNEL


@given(namespaces=tables, action=actions, channel=channels, user=texts, groups=groups, grants=grants)
def test_a_further_grant_never_takes_anything_away(
    namespaces: dict[str, Namespace],
    action: Action,
    channel: Channel,
    user: str,
    groups: list[str],
    grants: list[Grant],
) -> None:
    fewer = decide(namespaces, action, channel, user=user, groups=groups, grants=grants[:1])
    more = decide(namespaces, action, channel, user=user, groups=groups, grants=grants)
    assert fewer != "allowed" or more == "allowed"


def alice_in(
    namespace: Namespace, action: Action, *, groups: tuple[str, ...] = (), subscribed: bool = False
) -> Verdict:
    return decide(
        {"orders": namespace},
        action,
        Channel("orders", "42"),
        user="alice",
        groups=groups,
        grants=(),
        subscribed=subscribed,
    )


def test_a_new_namespace_is_closed() -> None:
    assert [alice_in(Namespace(durable=True), action) for action in ACTIONS] == [ErrorCode.PERMISSION_DENIED] * 4


def test_whoever_may_subscribe_may_read_back_unless_a_rule_says_otherwise() -> None:
    assert alice_in(Namespace(durable=True, subscribe="authenticated"), "history") == "allowed"
    assert alice_in(Namespace(durable=True, subscribe="authenticated", history="nobody"), "history") == 103


def test_a_rule_for_groups_admits_their_members() -> None:
    rule = Namespace(durable=True, subscribe=Groups(groups=("staff", "vip")))
    assert alice_in(rule, "subscribe", groups=("vip",)) == "allowed"
    assert alice_in(rule, "subscribe", groups=("guests",)) == ErrorCode.PERMISSION_DENIED


def test_subscribers_may_publish_once_they_are_subscribed() -> None:
    rule = Namespace(durable=False, subscribe="authenticated", publish="subscribers")
    assert alice_in(rule, "publish", subscribed=True) == "allowed"
    assert alice_in(rule, "publish", subscribed=False) == ErrorCode.PERMISSION_DENIED


def test_a_grant_allows_what_it_names_and_no_more() -> None:
    grant = Grant(channel="orders:4*", allow=("subscribe",))
    closed = {"orders": Namespace(durable=True)}

    def granted(action: Action, name: str) -> Verdict:
        return decide(closed, action, Channel("orders", name), user="alice", groups=(), grants=(grant,))

    assert granted("subscribe", "42") == "allowed"
    assert granted("subscribe", "52") == ErrorCode.PERMISSION_DENIED
    assert granted("history", "42") == ErrorCode.PERMISSION_DENIED


def test_an_ephemeral_namespace_has_no_history_to_give() -> None:
    with pytest.raises(ValidationError, match="keeps no history"):
        Namespace(durable=False, history="authenticated")
